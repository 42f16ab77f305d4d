"""The functions of ``torch._C`` that a build without CUDA lacks: devices, memory, streams.

`torch.cuda` itself is Python and stays as torch wrote it, with its checks and its messages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from . import devices, generators, memory, streams, tracing

NAME = "Virtual CUDA device"
_PROCESSORS = 108


@dataclass(frozen=True)
class DeviceProperties:
    """``torch.cuda.get_device_properties``: what CUDA would say of the device."""

    name: str
    major: int
    minor: int
    total_memory: int
    multi_processor_count: int
    uuid: str
    L2_cache_size: int = 40 << 20
    max_threads_per_multi_processor: int = 2048
    max_threads_per_block: int = 1024
    regs_per_multiprocessor: int = 65536
    shared_memory_per_block: int = 48 << 10
    shared_memory_per_block_optin: int = 163 << 10
    shared_memory_per_multiprocessor: int = 164 << 10
    warp_size: int = 32
    is_integrated: int = 0
    is_multi_gpu_board: int = 0
    pci_bus_id: int = 0
    pci_device_id: int = 0
    pci_domain_id: int = 0
    clock_rate: int = 1410000
    memory_clock_rate: int = 1215000
    memory_bus_width: int = 5120
    gcnArchName: str = ""  # noqa: N815 - torch's name

    def __repr__(self) -> str:
        return (
            f"_CudaDeviceProperties(name='{self.name}', major={self.major}, minor={self.minor}, "
            f"total_memory={self.total_memory >> 20}MB, multi_processor_count={self.multi_processor_count}, "
            f"uuid={self.uuid}, L2_cache_size={self.L2_cache_size >> 20}MB)"
        )


DeviceProperties.__module__, DeviceProperties.__qualname__ = "torch._C", "_CudaDeviceProperties"


def properties(index: int) -> DeviceProperties:
    """What a device is like; raises AcceleratorError."""
    devices.require(index)
    physical = devices.visible()[index]
    size, uuid = devices.machine.memory, devices.uuid(physical)
    return DeviceProperties(NAME, 8, 0, size, _PROCESSORS, uuid, pci_bus_id=physical)


def initialise() -> None:
    """Use CUDA for the first time in this process; raises RuntimeError when it sees no device."""
    devices.initialise()
    number = devices.count()
    memory.accounts[:] = [memory.Account() for _ in range(number)]
    torch.cuda.default_generators = generators.make_defaults(number)  # type: ignore[assignment]


def _synchronize() -> None:
    if tracing.traces:
        tracing.record(tracing.Synchronize(devices.device(devices.current())))


def _synchronize_device(index: int) -> None:
    if tracing.traces:
        tracing.record(tracing.Synchronize(devices.device(devices.current() if index < 0 else index)))


def _memory_info(index: int) -> tuple[int, int]:
    devices.require(index)
    return devices.machine.memory - memory.accounts[index].bytes, devices.machine.memory


def _set_device(index: int) -> None:
    devices.exchange(index)


def _nothing(*_: Any, **__: Any) -> None:
    """What has no effect on a virtual device."""


def _snapshot(*_: Any) -> dict[str, Any]:
    return {"segments": [], "device_traces": [], "allocator_settings": {}, "external_annotations": []}


def _reset_peaks(index: int) -> None:
    memory.accounts[index].reset_peak()


def _is_in_bad_fork() -> bool:
    """Forks may use virtual devices: their memory is ordinary memory."""
    return False


def functions() -> dict[str, Any]:
    """The functions by their names in ``torch._C``."""
    return {
        "_cuda_init": initialise,
        "_cuda_getDeviceCount": devices.count,
        "_cuda_getDevice": devices.current,
        "_cuda_setDevice": _set_device,
        "_cuda_exchangeDevice": devices.exchange,
        "_cuda_maybeExchangeDevice": devices.exchange,
        "_cuda_hasPrimaryContext": lambda index: devices.machine.used is not None,
        "_cuda_synchronize": _synchronize,
        "_cuda_ipc_collect": _nothing,
        "_cuda_sleep": _nothing,
        "_cuda_isInBadFork": _is_in_bad_fork,
        "_cuda_canDeviceAccessPeer": lambda device, peer: device != peer,
        "_cuda_getArchFlags": lambda: "sm_80",
        "_cuda_getCompiledVersion": lambda: 12080,
        "_cuda_getCurrentStream": streams.current,
        "_cuda_getDefaultStream": lambda index: (0, index, 1),
        "_cuda_getCurrentRawStream": lambda index: streams.current(index)[0],
        "_cuda_getStreamFromExternal": lambda address, index: (address, index, 1),
        "_cuda_setStream": streams.choose,
        "_cuda_isCurrentStreamCapturing": lambda: False,
        "_cuda_clearCublasWorkspaces": _nothing,
        "_cuda_getCublasWorkspaceSize": lambda: 0,
        "_cuda_getCublasLtWorkspaceSize": lambda: 0,
        "_cuda_set_sync_debug_mode": _nothing,
        "_cuda_get_sync_debug_mode": lambda: 0,
        "_cuda_emptyCache": _nothing,
        "_cuda_memoryStats": memory.statistics,
        "_cuda_resetPeakMemoryStats": _reset_peaks,
        "_cuda_resetAccumulatedMemoryStats": _nothing,
        "_cuda_memorySnapshot": _snapshot,
        "_cuda_setMemoryFraction": _nothing,
        "_cuda_getMemoryFraction": lambda index: 1.0,
        "_cuda_getAllocatorBackend": lambda: "native",
        "_cuda_lock_mutex": _nothing,
        "_cuda_unlock_mutex": _nothing,
        "_cuda_get_cudnn_benchmark_limit": lambda: 10,
        "_cuda_set_cudnn_benchmark_limit": _nothing,
        "_cuda_record_memory_history": _nothing,
        "_cuda_record_memory_history_legacy": _nothing,
        "_cuda_isHistoryEnabled": lambda: False,
        "_cuda_hostMemoryStats": dict,
        "_cuda_resetPeakHostMemoryStats": _nothing,
        "_cuda_resetAccumulatedHostMemoryStats": _nothing,
        "_cuda_attach_out_of_memory_observer": _nothing,
        "_cuda_setMemoryMetadata": _nothing,
        "_cuda_getMemoryMetadata": lambda: "",
        "_cuda_setCublasWorkspaceSize": _nothing,
        "_cuda_setCublasLtWorkspaceSize": _nothing,
        "_cuda_get_conv_benchmark_empty_cache": lambda: False,
        "_cuda_cudaCachingAllocator_enable": _nothing,
        "_cuda_cudaCachingAllocator_is_enabled": lambda: True,
        "_accelerator_synchronizeDevice": _synchronize_device,
        "_accelerator_exchangeDevice": devices.exchange,
        "_accelerator_maybeExchangeDevice": devices.exchange,
        "_accelerator_setDeviceIndex": _set_device,
        "_accelerator_getDeviceIndex": devices.current,
        "_accelerator_getStream": _stream,
        "_accelerator_setStream": torch.cuda.set_stream,
        "_accelerator_emptyCache": _nothing,
        "_accelerator_emptyHostCache": _nothing,
        "_accelerator_isAllocatorInitialized": lambda: devices.machine.used is not None,
        "_accelerator_getDeviceStats": memory.statistics,
        "_accelerator_getMemoryInfo": _memory_info,
        "_accelerator_resetPeakStats": _reset_peaks,
        "_accelerator_resetAccumulatedStats": _nothing,
    }


def _stream(index: int) -> Any:
    stream_id, device_index, device_type = streams.current(devices.current() if index < 0 else index)
    return streams.Stream(stream_id=stream_id, device_index=device_index, device_type=device_type)


class Runtime:
    """``torch.cuda.cudart()``: the few functions of CUDA's runtime library that torch calls."""

    class cudaError:  # noqa: N801 - the runtime's name
        """A status: 0 is success."""

        success = 0

        def __init__(self, code: int) -> None:
            self.code = code

    @staticmethod
    def cudaMemGetInfo(index: int) -> tuple[int, int]:  # noqa: N802 - the runtime's name
        """Free and total bytes of a device."""
        return _memory_info(index)

    @staticmethod
    def cudaGetErrorString(error: Any) -> str:  # noqa: N802 - the runtime's name
        """Words for a status."""
        return f"CUDA error {getattr(error, 'code', error)}"

    @staticmethod
    def cudaProfilerStart() -> int:  # noqa: N802 - the runtime's name
        """Begin profiling, of which there is none."""
        return 0

    @staticmethod
    def cudaProfilerStop() -> int:  # noqa: N802 - the runtime's name
        """End profiling."""
        return 0

    @staticmethod
    def cudaHostRegister(*_: Any) -> int:  # noqa: N802 - the runtime's name
        """Pin memory."""
        return 0

    cudaHostUnregister = cudaHostRegister  # noqa: N815 - the runtime's name


def patch_torch_cuda() -> dict[str, Any]:
    """What `torch.cuda` took from ``torch._C`` when it was imported."""
    return {
        "_exchange_device": devices.exchange,
        "_maybe_exchange_device": devices.exchange,
        "_is_in_bad_fork": _is_in_bad_fork,
        "_device_count_nvml": lambda: -1,
        "_device_count_amdsmi": lambda: -1,
        "_cudart": Runtime(),
        "_get_device_properties": properties,
        "_CudaDeviceProperties": DeviceProperties,
        "Stream": streams.Stream,
        "Event": streams.Event,
        "ExternalStream": streams.ExternalStream,
    }
