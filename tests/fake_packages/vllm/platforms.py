"""What vLLM runs on: ``FAKE_VLLM_DEVICES`` says how many GPUs, ``cpu`` that it needs none."""

import os


class _Platform:
    def is_cpu(self) -> bool:
        return os.environ.get("FAKE_VLLM_DEVICES") == "cpu"

    def is_unspecified(self) -> bool:
        return os.environ.get("FAKE_VLLM_DEVICES", "0") == "0"

    def device_count(self) -> int:
        return int(os.environ["FAKE_VLLM_DEVICES"])


current_platform = _Platform()
