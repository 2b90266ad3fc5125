"""Writes safetensors files a tensor at a time.

The library's own `save_file` copies all tensors before it writes the first byte: on a machine that trains at its limit that copy
is too much. It also hides the number of a disk's error in a text.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from io import FileIO
from pathlib import Path

import torch
from torch import Tensor

_NAMES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip
_ALIGNMENT = 8


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write one file of the safetensors format; tensors are copied from a device one after the other.

    Raises:
        OSError: not enough space; the caller removes the unfinished file.
    """
    # Wide elements first, so that every tensor starts at a multiple of its element's size.
    names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    header: dict[str, object] = {}
    end = 0
    for name in names:
        tensor = tensors[name]
        start, end = end, end + size_of(tensor)
        header[name] = {"dtype": _NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    with open(path, "wb", buffering=0, opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        _write_all(file, memoryview(len(text).to_bytes(8, "little") + text))
        for name in names:
            flat = tensors[name].detach().to("cpu").contiguous().reshape(-1)
            if flat.numel():
                _write_all(file, flat.view(torch.uint8).numpy().data)


def size_of(tensor: Tensor) -> int:
    """Bytes of its elements."""
    return tensor.numel() * tensor.element_size()


def _write_all(file: FileIO, data: memoryview) -> None:
    """Write in parts: a full disk may take some bytes before it refuses."""
    while data:
        written = file.write(data)
        if not written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file.name))
        data = data[written:]
