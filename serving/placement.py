"""Where on the GPUs of a machine an engine runs: which of them, across how many, how much of each."""

from __future__ import annotations

import re
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

DEVICE = re.compile(r"\d+|(GPU|MIG)-[0-9A-Za-z/-]+")  # by nvidia-smi's number or name


class Placement(BaseModel):
    """One engine's place; a part of the gateway's settings, for vLLM on GPUs alone."""

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)

    devices: str = Field(default="", description="CUDA_VISIBLE_DEVICES of the engine; default: the gateway's")
    tensor_parallel: int = Field(default=1, ge=1, description="GPUs that share the model's weights")
    memory: float | None = Field(default=None, gt=0, le=1, description="share of each GPU's memory")

    @field_validator("devices")
    @classmethod
    def _are_devices(cls, devices: str) -> str:
        names = devices.split(",") if devices else []
        if not all(DEVICE.fullmatch(name) for name in names):
            raise ValueError(
                f'{devices!r} names no GPUs; write their numbers, as "0,1", or nvidia-smi\'s names'
            )
        if len(set(names)) < len(names):
            raise ValueError(f"{devices!r} names a GPU twice; write each once")
        return devices

    @model_validator(mode="after")
    def _uses_what_it_names(self) -> Self:
        named = len(self.devices.split(","))
        if self.devices and named != self.tensor_parallel:
            raise ValueError(
                f"{named} devices and tensor_parallel {self.tensor_parallel}; make them as many as each other"
            )
        return self

    def environment(self) -> dict[str, str]:
        """Return what shows an engine its GPUs alone, numbered as nvidia-smi numbers them."""
        if not self.devices:
            return {}
        return {"CUDA_VISIBLE_DEVICES": self.devices, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
