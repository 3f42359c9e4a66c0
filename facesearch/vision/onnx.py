"""The only door to ONNX Runtime: loads graphs for use by several threads."""

from pathlib import Path
from typing import TypeAlias

import onnxruntime

Session: TypeAlias = onnxruntime.InferenceSession
PROVIDERS = [  # a GPU is used where the onnxruntime that is installed can
    name
    for name in ("CUDAExecutionProvider", "CPUExecutionProvider")
    if name in onnxruntime.get_available_providers()
]


def session(graph: Path, *, arena: bool = True) -> Session:
    """A graph that several threads may run at once; a run uses the core of its thread alone.

    arena: whether to keep the memory of a run for the next, which wastes it where inputs have many
    shapes. Raises whatever ONNX Runtime raises: its errors share no base but Exception.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    options.enable_cpu_mem_arena = options.enable_mem_pattern = arena
    return Session(str(graph), options, providers=PROVIDERS)
