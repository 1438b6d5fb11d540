"""How a model wants to be asked: its own chat template, with a place for the video."""

from __future__ import annotations

from typing import Any

from transforms.errors import PreflightError


class ChatTemplate:
    """The chat template that lies with a model's weights.

    Raises:
        PreflightError: The folder has none, or none that can show a video.
    """

    def __init__(self, path: str, *, trust_remote_code: bool = False) -> None:
        from transformers import AutoProcessor  # noqa: PLC0415 - an extra

        try:
            self._processor: Any = AutoProcessor.from_pretrained(
                path, trust_remote_code=trust_remote_code, local_files_only=True
            )
            shown, plain = self.chat("a", has_video=True), self.chat("a", has_video=False)
        except (OSError, ValueError, ImportError, KeyError, TypeError) as error:
            what = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise PreflightError(
                f"{path}: no processor with a chat template ({what}); choose a model for chats "
                "about video"
            ) from error
        if shown == plain:
            raise PreflightError(
                f"{path}: its chat template has no place for a video; choose a model for video"
            )

    def chat(self, prompt: str, *, has_video: bool) -> str:
        """Return the text of a chat in which the user shows a video, if any, and asks."""
        video = [{"type": "video"}] if has_video else []
        content = [*video, {"type": "text", "text": prompt}]
        text = self._processor.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
        return str(text)
