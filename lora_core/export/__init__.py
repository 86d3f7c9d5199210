"""What is on the screen, to take home: a PyTorch script, a PEFT script, the adapter in PEFT's format."""

from lora_core.adapters.run_adapter import adapter_zip
from lora_core.export.scripts import peft_script, torch_script

__all__ = ["adapter_zip", "peft_script", "torch_script"]
