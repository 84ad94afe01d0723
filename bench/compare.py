#!/usr/bin/env python3
"""Times Gradus beside PyTorch (and KANN), in turn on the same machine, and writes docs/performance.md. `make bench` calls it.

For each workload and instruction set: a short slice of steps of each program with each number of threads, again and again in
the same order; of each round the ratio of their medians; of the ratios the median. So what else the machine does meets all of them
alike. A PyTorch process stays alive between its slices; Gradus starts anew for each."""
import argparse
import hashlib
import io
import json
import math
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tarfile
import time
import urllib.request

import plots

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
WORKLOADS = ("tiny", "ae", "mlp", "cnn", "resnet20", "keypoint", "unet", "lstm", "gpt")
IN_KANN = ("ae", "mlp")
ISA = {"full": {}, "avx2": {"DNNL_MAX_CPU_ISA": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2",
                            "OPENBLAS_CORETYPE": "Haswell"}}
ISA_TEXT = {"full": "all that the CPU has", "avx2": "AVX2 only"}
SCALING = {"mlp": (8, 16, 32, 64, 128, 256), "cnn": (8, 16, 32, 64, 128)}
KANN_URL = "https://github.com/attractivechaos/kann"
KANN_PACKAGE = "cynn==0.1.5"
KANN_SHA256 = "b5c3c9586fa9f38437f3f102d201ff2237d9309ea382e21af4e475ee25f005c0"
KANN_FILES = ("kann.h", "kann.c", "kautodiff.h", "kautodiff.c")


def cache():
    return os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "gradus-bench")


def say(*words):
    print(*words, file=sys.stderr, flush=True)


# ---- setting up ----

def torch_python():
    """The Python of a virtual environment that has PyTorch; made if it is not there. None if that fails."""
    folder = os.environ.get("BENCH_VENV", cache())
    python = os.path.join(folder, "bin", "python")
    works = [python, "-c", "import torch"]
    if os.path.exists(python) and subprocess.run(works, capture_output=True).returncode == 0:
        return python
    say(f"installing PyTorch into {folder}; BENCH_VENV names another folder, BENCH_PIP holds further options for pip")
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet"]
    pip += [*os.environ.get("BENCH_PIP", "").split(), "torch", "numpy"]
    made = subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder]).returncode == 0
    if made and subprocess.run(pip).returncode == 0 and subprocess.run(works).returncode == 0:
        return python
    say("PyTorch could not be installed: only Gradus is timed")
    return None


def openblas(python):
    """Compiler and linker flags: the system's, else those of a package in the virtual environment, whose names have a prefix."""
    found = subprocess.run(["pkg-config", "--cflags", "--libs", "openblas"], capture_output=True, text=True)
    if found.returncode == 0:
        return found.stdout.split()
    subprocess.run([sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "scipy-openblas32"], check=True)
    ask = "import scipy_openblas32 as b; print(b.get_include_dir(), b.get_lib_dir(), b.get_library())"
    include, lib, name = subprocess.run([python, "-c", ask], check=True, capture_output=True, text=True).stdout.split()
    renamed = [f"-Dcblas_{f}=scipy_cblas_{f}" for f in ("sgemm", "saxpy", "sdot", "sscal")]
    return [f"-I{include}", f"-L{lib}", f"-l{name}", f"-Wl,-rpath,{lib}", *renamed]


def fetch_kann(source):
    """KANN's files from its repository, or where that is out of reach, from a package on PyPI that carries them."""
    try:
        clone = ["git", "clone", "--quiet", "--depth", "1", KANN_URL, source]
        subprocess.run(clone, check=True, capture_output=True, timeout=120)
        return
    except (OSError, subprocess.SubprocessError) as error:
        say(f"{KANN_URL} cannot be had ({type(error).__name__}): from PyPI's {KANN_PACKAGE}")
    name, file = KANN_PACKAGE.split("==")[0], KANN_PACKAGE.replace("==", "-") + ".tar.gz"
    ask = urllib.request.Request(f"https://pypi.org/simple/{name}/", headers={"Accept": "application/vnd.pypi.simple.v1+json"})
    with urllib.request.urlopen(ask, timeout=60) as answer:
        url = next(f["url"] for f in json.load(answer)["files"] if f["filename"] == file)
    with urllib.request.urlopen(url, timeout=120) as answer:
        archive = answer.read()
    if hashlib.sha256(archive).hexdigest() != KANN_SHA256:
        raise OSError(f"{file}: not the bytes it had")
    os.makedirs(source, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            base = os.path.basename(member.name)
            if "/kann/" in member.name and base in KANN_FILES:
                with open(os.path.join(source, base), "wb") as out:
                    out.write(tar.extractfile(member).read())


def kann_program(python):
    """bench/peers/kann_steps.c with KANN and OpenBLAS; None, with a sentence, where it cannot be had."""
    source, program = os.path.join(cache(), "kann"), os.path.join(cache(), "kann_steps")
    try:
        if not os.path.exists(os.path.join(source, "kann.h")):
            fetch_kann(source)
        files = [os.path.join(HERE, "peers", "kann_steps.c")] + [os.path.join(source, f) for f in ("kann.c", "kautodiff.c")]
        build = ["cc", "-O3", "-march=native", "-DHAVE_CBLAS", "-I" + source, *files, "-o", program, *openblas(python), "-lm"]
        subprocess.run(build, check=True, capture_output=True, timeout=300)
        return program
    except (OSError, subprocess.SubprocessError) as error:
        why = (getattr(error, "stderr", None) or b"").decode(errors="replace").strip().splitlines()
        say(f"KANN is left out, it could not be fetched and built: {why[-1] if why else error}")
        return None


# ---- the programs ----

class Worker:
    """A process that answers each line "SECONDS" with the times of a slice of steps."""

    def __init__(self, command, environment, log):
        launched = time.clock_gettime(time.CLOCK_MONOTONIC)
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=log, text=True)
        ready = self.answer()
        self.start_ms = (ready["first_step"] - launched) * 1e3
        self.params, self.version = ready["params"], ready["version"]

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("it ended early")
        return json.loads(line)

    def slice(self, seconds):
        print(seconds, file=self.process.stdin, flush=True)
        return self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Gradus:
    def __init__(self, program, config, threads, environment, overrides=()):
        self.command = [program, "bench", config, "--threads", str(threads), *overrides]
        self.environment = environment

    def slice(self, seconds):
        done = subprocess.run(self.command + ["--seconds", str(seconds)], env=self.environment, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit {done.returncode}")
        return json.loads(done.stdout)

    def close(self):
        pass


class Bench:
    def __init__(self, options):
        os.makedirs(cache(), exist_ok=True)
        self.options = options
        self.log = open(os.path.join(cache(), "bench.log"), "w")
        self.python = torch_python()
        self.kann = kann_program(self.python) if self.python and not options.no_kann else None
        self.torch_version = None
        self.load = os.getloadavg()[0]
        if self.load > 0.5:
            say(f"the machine is not idle (load {self.load:.1f}): single times will be too long, ratios less exact")

    def environment(self, isa, threads):
        return {**os.environ, **ISA[isa], "OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}

    def programs(self, name, isa, threads, batch=None, modes=("eager", "compile")):
        """Name -> program; those that do not start are said and left out."""
        environment = self.environment(isa, threads)
        overrides = [f"run.batch={batch}", f"data.n={batch}"] if batch else []
        found = {"ours": Gradus(self.options.gradus, os.path.join(HERE, name + ".yaml"), threads, environment, overrides)}
        commands = {}
        for mode in modes if self.python else ():
            if mode == "eager" or not self.options.no_compile:
                commands[mode] = [self.python, os.path.join(HERE, "peers", "torch_steps.py"), name, mode, str(threads)]
                commands[mode] += [str(batch)] if batch else []
        if self.kann and name in IN_KANN and not batch:
            commands["kann"] = [self.kann, name]
        for peer, command in commands.items():
            try:
                found[peer] = Worker(command, environment, self.log)
                if peer in modes:
                    self.torch_version = found[peer].version
            except (OSError, RuntimeError, ValueError) as error:
                say(f"{name}: {peer} is left out: {error}; see {self.log.name}")
        return found

    def rounds(self, programs):
        """Name -> slices, taken in turn. One slice of each first, thrown away."""
        slices = {peer: [] for peer in programs}
        for turn in range(self.options.pairs + 1):
            for peer, program in programs.items():
                took = program.slice(self.options.seconds)
                if turn:
                    slices[peer].append(took)
        return slices

    def measure(self, name, isa):
        """A row for each number of threads; all of them take turns, so that what a thread gains is a ratio of neighbours too."""
        counts = self.options.threads
        programs = {}
        try:
            for threads in counts:
                programs |= {(threads, peer): program for peer, program in self.programs(name, isa, threads).items()}
            slices = self.rounds(programs)
        finally:
            for program in programs.values():
                program.close()
        rows = [self.row(name, isa, threads, of_threads(programs, threads), of_threads(slices, threads)) for threads in counts]
        one = next((r for r in rows if r["threads"] == 1), None)
        for row in rows:
            if one and row is not one:
                row["gain"] = median_ratio(slices[1, "ours"], slices[row["threads"], "ours"])
                if "better" in one and "better" in row:
                    row["torch_gain"] = median_ratio(slices[1, one["better"]], slices[row["threads"], row["better"]])
        return rows

    def row(self, name, isa, threads, programs, slices):
        row = {"name": name, "isa": isa, "threads": threads}
        for peer, took in slices.items():
            row[peer] = statistics.median(s["median_ms"] for s in took)
        ours = slices["ours"]
        row["roofline"] = min(s["roofline_ms"] for s in ours)  # the machine at its best
        row["start"] = statistics.median(s["start_ms"] for s in ours)
        row["memory"] = max(s["rss_mib"] for s in ours)
        row["params"] = ours[0]["params"]
        theirs = [peer for peer in ("eager", "compile") if peer in row]
        for peer in theirs:
            if programs[peer].params != row["params"]:
                raise RuntimeError(f"{programs[peer].params} parameters in PyTorch, {row['params']} here")
        if theirs:
            row["better"] = min(theirs, key=row.get)
            row["ratio"] = median_ratio(slices[row["better"]], ours)
            row["torch_memory"] = min(slices[peer][-1]["rss_mib"] for peer in theirs)
            row["torch_start"] = min(programs[peer].start_ms for peer in theirs)
        if "kann" in slices:
            if programs["kann"].params != row["params"]:
                raise RuntimeError(f"{programs['kann'].params} parameters in KANN, {row['params']} here")
            row["kann_ratio"] = median_ratio(slices["kann"], ours)
        return row

    def scaling(self, name, isa, threads, batches):
        """Milliseconds a step over the batch size: (ours, eager)."""
        curves = {"ours": [], "eager": []}
        for batch in batches:
            programs = self.programs(name, isa, threads, batch, modes=("eager",))
            try:
                slices = self.rounds(programs)
            finally:
                for program in programs.values():
                    program.close()
            for peer, took in slices.items():
                curves[peer].append((batch, statistics.median(s["median_ms"] for s in took)))
            last = (f"{peer} {curve[-1][1]:.3f} ms" for peer, curve in curves.items() if curve)
            say(f"{name}, batch {batch}: " + ", ".join(last))
        return curves


def of_threads(found, threads):
    return {peer: what for (count, peer), what in found.items() if count == threads}


def median_ratio(theirs, ours):
    return statistics.median(a["median_ms"] / b["median_ms"] for a, b in zip(theirs, ours))


# ---- telling ----

def number(value, digits=3):
    """Three digits that say something."""
    if value is None:
        return "-"
    return f"{value:.{max(0, digits - 1 - math.floor(math.log10(abs(value))))}f}" if value else "0"


COLUMNS = (("workload", 9), ("threads", 7), ("Gradus ms", 9), ("eager ms", 8), ("compile ms", 10), ("ratio", 6),
           ("roofline ms", 11), ("times it", 8), ("KANN ratio", 10), ("MiB", 5), ("PyTorch MiB", 11), ("start ms", 8),
           ("PyTorch start ms", 16))


def cells(row):
    def whole(key):
        return f"{row[key]:.0f}" if key in row else "-"

    return (row["name"], str(row["threads"]), number(row["ours"]), number(row.get("eager")), number(row.get("compile")),
            number(row.get("ratio")), number(row["roofline"]), number(row["ours"] / row["roofline"]),
            number(row.get("kann_ratio")), whole("memory"), whole("torch_memory"), whole("start"), whole("torch_start"))


def table_lines(rows):
    head = "| " + " | ".join(name.rjust(width) for name, width in COLUMNS) + " |"
    rule = "| " + " | ".join("-" * (width - 1) + ":" for _, width in COLUMNS) + " |"
    return [head, rule] + ["| " + " | ".join(c.rjust(width) for c, (_, width) in zip(cells(row), COLUMNS)) + " |" for row in rows]


def summary(rows):
    ratios = [row["ratio"] for row in rows if "ratio" in row and row["name"] != "tiny"]
    text = []
    if ratios:
        mean = math.exp(statistics.fmean(math.log(r) for r in ratios))
        text.append(f"Geometric mean of the ratios without `tiny`: {mean:.2f}.")
    for row in rows:
        if "torch_gain" in row:
            text.append(f"{row['name']}: {row['threads']} threads are {row['gain']:.2f} times as fast as 1, "
                        f"in PyTorch {row['torch_gain']:.2f}.")
    return text


def first_line(command, environment=None):
    try:
        return subprocess.run(command, capture_output=True, text=True, env=environment).stdout.strip().splitlines()[0]
    except (OSError, IndexError):
        return "unknown"


def read_value(path, key):
    try:
        with open(path) as lines:
            return next((line.split(":", 1)[1].strip() for line in lines if line.split(":")[0].strip() == key), "unknown")
    except OSError:
        return "unknown"


def machine_lines(bench):
    flags = read_value("/proc/cpuinfo", "flags").split()
    sets = [f for f in ("avx2", "fma", "avx512f", "avx512bw", "avx512_bf16", "amx_tile") if f in flags]
    memory = read_value("/proc/meminfo", "MemTotal").split()
    return [f"- CPU: {read_value('/proc/cpuinfo', 'model name')}, {os.cpu_count()} cores, {' '.join(sets)}",
            f"- memory: {int(memory[0]) / 2 ** 20:.0f} GiB" if memory[0].isdigit() else "- memory: unknown",
            f"- system: {platform.system()} {platform.release()}; {first_line(['cc', '--version'])}",
            f"- {first_line([bench.options.gradus, 'version'])}; PyTorch {bench.torch_version or 'not there'}",
            f"- {time.strftime('%Y-%m-%d')}, {bench.options.pairs} rounds of {bench.options.seconds:g} s slices; "
            f"load before they began {bench.load:.1f}"]


EXPLAINED = """\
Written by `make bench`. A step reads the loss, computes every parameter's gradient and applies Adam; the same nets, batch
sizes and numbers of parameters in both. Times are medians in milliseconds of slices that took turns; `ratio` is the median over
the rounds of the better of PyTorch's two modes to Gradus: 2 is twice as fast. `roofline`: for each step of the plan the larger
of its direct FLOPs at the measured peak of multiply-adds and the bytes that it must move at the measured speed of a stream
through memory, summed with the optimizer's; what stays in cache from step to step, and Winograd's convolutions, may be faster.
`times it`: our time over that. `KANN ratio`: KANN's time, with OpenBLAS (whose threads are the only ones it has) and RMSprop, to
ours. Memory is the largest resident
size, start the time from the start of the process to the beginning of the first step; of PyTorch the smaller of both modes."""


def write_page(bench, rows, curves):
    folder = os.path.dirname(os.path.abspath(bench.options.out))
    os.makedirs(folder, exist_ok=True)
    text = ["# Performance", "", EXPLAINED, "", *machine_lines(bench), ""]
    for isa in ISA:
        part = [r for r in rows if r["isa"] == isa]
        if not part:
            continue
        text += [f"## Instruction sets: {ISA_TEXT[isa]}", "", *table_lines(part), "", *("- " + line for line in summary(part)), ""]
        most = max(r["threads"] for r in part)
        shown = [r for r in part if r["threads"] == most]
        name = f"performance-{isa}.svg"
        title = f"Time of one training step, {most} thread{'s' if most > 1 else ''}, {ISA_TEXT[isa]}"
        plots.bars(os.path.join(folder, name), title, "milliseconds", [r["name"] for r in shown],
                   ["Gradus", "PyTorch eager", "PyTorch compile", "roofline"],
                   [[r.get(key) for r in shown] for key in ("ours", "eager", "compile", "roofline")])
        text += [f"![time of one step]({name})", ""]
    series = [(f"{name}, {'Gradus' if peer == 'ours' else 'PyTorch ' + peer}", points)
              for name, curve in curves.items() for peer, points in curve.items() if points]
    if series:
        title = f"Time of one step over the batch size, {bench.options.threads[-1]} threads"
        plots.lines(os.path.join(folder, "performance-batch.svg"), title, "batch size", "milliseconds", series)
        text += ["## Batch size", "", "![time over the batch size](performance-batch.svg)", ""]
    with open(bench.options.out, "w") as out:
        out.write("\n".join(text))


def numbers(text):
    return [int(word) for word in text.split(",")]


def words(known):
    def read(text):
        for word in text.split(","):
            if word not in known:
                raise argparse.ArgumentTypeError(f"no \"{word}\"; known: {', '.join(known)}")
        return text.split(",")
    return read


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--gradus", default=os.path.join(ROOT, "build", "gradus"), help="the command")
    parser.add_argument("--workloads", type=words(WORKLOADS), default=WORKLOADS, help="comma-separated; all")
    parser.add_argument("--threads", type=numbers, default=[1, 2], help="comma-separated; 1,2")
    parser.add_argument("--isa", type=words(ISA), default=list(ISA), help="full, avx2 or both")
    parser.add_argument("--seconds", type=float, default=1.0, help="of a slice; at least a few steps are timed")
    parser.add_argument("--pairs", type=int, default=5, help="rounds")
    parser.add_argument("--no-compile", action="store_true", help="PyTorch eager only")
    parser.add_argument("--no-kann", action="store_true", help="without KANN")
    parser.add_argument("--no-scaling", action="store_true", help="without the plot over the batch size")
    parser.add_argument("--out", default=os.path.join(ROOT, "docs", "performance.md"), help="the page; its plots go beside it")
    return parser.parse_args()


def main():
    options = arguments()
    if not shutil.which(options.gradus):
        sys.exit(f"there is no {options.gradus}: build it first, or say --gradus FILE")
    bench = Bench(options)
    known = [n for n in options.workloads if os.path.exists(os.path.join(HERE, n + ".yaml"))]
    for name in options.workloads:
        if name not in known:
            say(f"{name} is left out: there is no bench/{name}.yaml")
    rows, curves = [], {}
    for isa in options.isa:
        for name in known:
            try:
                measured = bench.measure(name, isa)
            except RuntimeError as error:
                say(f"{name} is left out: {error}")
                continue
            rows += measured
            for row in measured:
                say(f"{isa:5} " + table_lines([row])[-1])
    rows.sort(key=lambda row: row["threads"])
    if not options.no_scaling:
        for name in (n for n in SCALING if n in known):
            curves[name] = bench.scaling(name, options.isa[0], options.threads[-1], SCALING[name])
    for isa in options.isa:
        part = [r for r in rows if r["isa"] == isa]
        print("\n".join([f"Instruction sets: {ISA_TEXT[isa]}", *table_lines(part), *summary(part), ""]))
    if rows:
        write_page(bench, rows, curves)


if __name__ == "__main__":
    main()
