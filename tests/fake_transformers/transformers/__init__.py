"""A stand-in for transformers where it is not installed: a processor with a chat template."""


class AutoProcessor:
    """Only what ``ChatTemplate`` asks for."""

    @classmethod
    def from_pretrained(cls, path, *, trust_remote_code=False, local_files_only=False):
        return cls()

    def apply_chat_template(self, messages, *, tokenize, add_generation_prompt):
        [message] = messages
        shown = {"video": lambda part: "<video>", "text": lambda part: part["text"]}
        return "".join(shown[part["type"]](part) for part in message["content"])
