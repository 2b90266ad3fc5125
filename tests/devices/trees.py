"""Files of real machines, as far as they are read: written as their kernels and JetPacks lay them out."""

from __future__ import annotations

from pathlib import Path

GIB = 1 << 30

NO_SWAP = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"


def write(root: Path, path: str, content: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)


def memory(root: Path, total_kib: int, available_kib: int, swaps: str = NO_SWAP) -> None:
    write(
        root,
        "proc/meminfo",
        f"MemTotal:       {total_kib:8} kB\nMemFree:          204800 kB\nMemAvailable:   {available_kib:8} kB\n",
    )
    write(root, "proc/swaps", swaps)


def zones(root: Path, millidegrees: dict[str, str]) -> None:
    """Thermal zones in their order."""
    for number, (kind, text) in enumerate(millidegrees.items()):
        write(root, f"sys/class/thermal/thermal_zone{number}/type", f"{kind}\n")
        write(root, f"sys/class/thermal/thermal_zone{number}/temp", f"{text}\n")


def ina3221(root: Path, chip: str, *rails: tuple[str, int, int]) -> None:
    """A monitor with its rails: label, mV, mA."""
    write(root, f"{chip}/name", "ina3221\n")
    for number, (label, millivolts, milliamperes) in enumerate(rails, start=1):
        write(root, f"{chip}/in{number}_label", f"{label}\n")
        write(root, f"{chip}/in{number}_input", f"{millivolts}\n")
        write(root, f"{chip}/curr{number}_input", f"{milliamperes}\n")
        write(root, f"{chip}/in{number + 3}_input", "2\n")
    write(root, f"{chip}/in7_label", "sum of shunt voltages\n")
    write(root, f"{chip}/in7_input", "6\n")
    write(root, f"{chip}/curr4_input", "2200\n")


def nvpmodel(root: Path, mode: int | None, names: tuple[str, ...], default: int) -> None:
    """The configuration with its modes, and the mode that was set, if any."""
    modes = "".join(
        f"< POWER_MODEL ID={number} NAME={name} >\nCPU_ONLINE CORE_0 1\nGPU MAX_FREQ 625000000\n\n"
        for number, name in enumerate(names)
    )
    head = "# FORMAT: < POWER_MODEL ID=id_num NAME=mode_name >\n< PARAM TYPE=FILE NAME=CPU_ONLINE >\n"
    write(root, "etc/nvpmodel.conf", f"{head}\n{modes}< PM_CONFIG DEFAULT={default} >\n")
    if mode is not None:
        write(root, "var/lib/nvpmodel/status", f"pmode:{mode:04} fmode:quiet\n")


def orin_nano(root: Path) -> None:
    """Orin Nano 8 GB, JetPack 6.2: swap lies in six zram devices, one for each core."""
    write(
        root, "etc/nv_tegra_release", "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64\n"
    )
    write(root, "proc/device-tree/model", "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super\0")
    swaps = "".join(f"/dev/zram{number}                              partition\t650228\t\t{used}\t\t5\n"
                    for number, used in enumerate((10240, 10240, 0, 0, 0, 0)))  # fmt: skip
    memory(root, 7802808, 3901404, NO_SWAP + swaps)
    for number in range(6):
        # Stored, compressed, memory in all; memory limit, peak, pages of one value, compacted, huge pages (twice).
        columns = (10485760, 2097152, 3145728) if number < 2 else (4096, 64, 12288)
        write(
            root, f"sys/block/zram{number}/mm_stat", " ".join(f"{value:8}" for value in (*columns, 0, 0, 12, 0, 0, 0))
        )
    write(root, "sys/devices/platform/bus@0/17000000.gpu/load", "423\n")
    zones(
        root,
        {
            "cpu-thermal": "48500",
            "gpu-thermal": "51250",
            "cv0-thermal": "-256000",
            "soc0-thermal": "47000",
            "tj-thermal": "51250",
        },
    )
    chip = "sys/class/hwmon/hwmon1"
    ina3221(root, chip, ("VDD_IN", 5000, 1500), ("VDD_CPU_GPU_CV", 5000, 400), ("VDD_SOC", 5000, 300))
    nvpmodel(root, 2, ("15W", "25W", "MAXN_SUPER", "7W"), 1)


def agx_orin(root: Path) -> None:
    """AGX Orin 64 GB, JetPack 6: no monitor at the input, two monitors of rails, nobody ever set a mode."""
    write(
        root, "etc/nv_tegra_release", "# R36 (release), REVISION: 3.0, GCID: 36923193, BOARD: generic, EABI: aarch64\n"
    )
    write(root, "proc/device-tree/model", "NVIDIA Jetson AGX Orin Developer Kit\0")
    memory(root, 64349204, 60000000, NO_SWAP + "/mnt/swapfile                           file\t\t16777212\t2048\t\t-2\n")
    write(root, "sys/class/devfreq/17000000.gpu/device/load", "1000\n")
    zones(root, {"CPU-therm": "52968", "GPU-therm": "47625", "Tboard-tegra": "41000", "tj-thermal": "53000"})
    ina3221(root, "sys/class/hwmon/hwmon1",
            ("VDD_GPU_SOC", 20000, 300), ("VDD_CPU_CV", 20000, 100), ("VIN_SYS_5V0", 5000, 1000))  # fmt: skip
    ina3221(root, "sys/class/hwmon/hwmon2", ("NC", 0, 0), ("VDDQ_VDD2_1V8AO", 5000, 200), ("NC", 0, 0))
    write(root, "sys/class/hwmon/hwmon0/name", "pwmfan\n")
    nvpmodel(root, None, ("MAXN", "MODE_15W", "MODE_30W", "MODE_50W"), 2)


def thor(root: Path) -> None:
    """AGX Thor, JetPack 7: sysfs does not show the GPU's load, and the GPU's sensor says nothing while the GPU is off."""
    write(
        root, "etc/nv_tegra_release", "# R38 (release), REVISION: 2.0, GCID: 41844464, BOARD: generic, EABI: aarch64\n"
    )
    write(root, "proc/device-tree/model", "NVIDIA Jetson AGX Thor Developer Kit\0")
    memory(root, 128 << 20, 100 << 20)
    write(root, "sys/class/devfreq/gpu-gpc-0/cur_freq", "1575000000\n")
    zones(root, {"cpu-thermal": "53700", "tj-thermal": "55100", "soc012-thermal": "55100", "soc345-thermal": "53700"})
    write(root, "sys/class/thermal/thermal_zone4/type", "gpu-thermal\n")
    # Reading it is an error: EAGAIN there, EISDIR here.
    (root / "sys/class/thermal/thermal_zone4/temp").mkdir()
    ina3221(root, "sys/class/hwmon/hwmon3",
            ("VDD_GPU", 20000, 100), ("VDD_CPU_SOC_MSS", 20000, 300), ("VIN_SYS_5V0", 5000, 1300))  # fmt: skip
    chip = "sys/class/hwmon/hwmon4"
    for name, text in {"name": "ina238", "label": "VIN", "in1_input": "20000", "power1_input": "23500000"}.items():
        write(root, f"{chip}/{name}", f"{text}\n")
    nvpmodel(root, 0, ("MAXN", "120W", "90W", "70W"), 1)


def laptop(root: Path) -> None:
    """A laptop without a GPU that trains: no Tegra, swap in a partition, the home on its own disk."""
    memory(
        root, 16 << 20, 12 << 20, NO_SWAP + "/dev/nvme0n1p3                          partition\t8388604\t\t0\t\t-2\n"
    )
    zones(root, {"x86_pkg_temp": "45000"})
    mounts(root, ("/", "ext4"), ("/home", "btrfs"))


def mounts(root: Path, *points: tuple[str, str]) -> None:
    """Mount points and the kinds of their file systems, in the order of their mounting."""
    lines = [f"{number} 1 0:{number} / {point} rw,relatime shared:1 - {kind} {kind} rw\n"
             for number, (point, kind) in enumerate(points, start=20)]  # fmt: skip
    write(root, "proc/self/mountinfo", "".join(lines))


def process(root: Path, number: int, name: str, anonymous_kib: int) -> None:
    """A process and what it holds of the memory."""
    write(root, f"proc/{number}/comm", f"{name}\n")
    write(
        root, f"proc/{number}/status", f"Name:\t{name}\nVmRSS:\t{anonymous_kib * 2} kB\nRssAnon:\t{anonymous_kib} kB\n"
    )
