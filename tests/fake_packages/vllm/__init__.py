"""A stand-in for vLLM with its names and parameters, as far as ``vllm_calls`` uses them.

``AsyncLLM`` answers with a digest of the frames it was given.
"""
