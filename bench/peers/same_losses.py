"""The first losses of every workload beside PyTorch's, from the same weights and the same batch, dropout off.

same_losses.py --gradus build/gradus [--steps 10] [--exact] [--sgd LR] [WORKLOAD ...]
An epoch of the bench configs is one batch, so `gradus train` logs one loss a step. Weights go over as a .pth that `init: {from: ...}`
reads; the batch is drawn here as the source `random` draws it.

Networks with batch norm that learn noise by heart with Adam magnify rounding, as its first steps are the gradients' signs: a loss may be off
by the bound, or by twice what PyTorch's float is off from PyTorch's double on the same steps. Plain descent (--sgd) does not magnify it.
Exit status 1 if one is further off than both."""
import argparse
import copy
import json
import pathlib
import re
import subprocess
import sys
import tempfile
from collections import OrderedDict

import numpy
import torch

from torch_steps import WORKLOADS

HERE = pathlib.Path(__file__).resolve().parent
BOUND, WINOGRAD_BOUND = 1e-4, 1e-3
CONVOLUTIONS = {"cnn", "resnet20", "keypoint", "unet"}


# ---- the source `random` ----

def name_hash(seed, name):
    mask = (1 << 64) - 1
    h = 0xCBF29CE484222325 ^ seed
    for byte in name.encode():
        h = ((h ^ byte) * 0x100000001B3) & mask
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        h = ((h ^ (h >> shift)) * factor) & mask
    return h ^ (h >> 31)


def philox(key, row, blocks):
    """Words [len(blocks), 4] of Philox4x32-10 with counter (block, row) and step 0."""
    low = numpy.uint64(0xFFFFFFFF)
    shift = numpy.uint64(32)
    c = [blocks & low, (blocks >> shift) & numpy.uint64(0xFFFF), numpy.full_like(blocks, row), numpy.zeros_like(blocks)]
    k = [key & 0xFFFFFFFF, key >> 32]
    for _ in range(10):
        p0, p1 = c[0] * numpy.uint64(0xD2511F53), c[2] * numpy.uint64(0xCD9E8D57)
        c = [(p1 >> shift) ^ c[1] ^ numpy.uint64(k[0]), p1 & low, (p0 >> shift) ^ c[3] ^ numpy.uint64(k[1]), p0 & low]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return numpy.stack(c, 1).astype(numpy.uint64)


def fill(sample, first, count, below):
    blocks = numpy.arange((count + 3) // 4, dtype=numpy.uint64) + numpy.uint64(first)
    words = philox(name_hash(0, "random"), sample, blocks).reshape(-1)[:count]
    if below:
        return ((words * numpy.uint64(below)) >> numpy.uint64(32)).astype(numpy.int64)
    return ((words >> numpy.uint64(8)).astype(numpy.float64) / 16777216).astype(numpy.float32)


def draw_batch(batch, shape, tokens, label_shape, classes):
    count, labels = int(numpy.prod(shape)), int(numpy.prod(label_shape, dtype=int))
    x = numpy.stack([fill(i, 1, count, tokens).reshape(shape) for i in range(batch)])
    y = numpy.stack([numpy.concatenate([fill(i, 0, min(labels, 4), classes)] + ([fill(i, 1 << 30, labels - 4, classes)] if labels > 4 else []))
                     .reshape(label_shape) for i in range(batch)])
    return torch.from_numpy(x), torch.from_numpy(y)


# shape, tokens, label shape, classes (0: real labels), as in the configs
DATA = {
    "tiny": ((4,), 0, (), 3), "ae": ((784,), 0, (), 10), "mlp": ((3072,), 0, (), 10), "cnn": ((3, 32, 32), 0, (), 10),
    "resnet20": ((3, 32, 32), 0, (), 10), "keypoint": ((1, 96, 96), 0, (30,), 0), "unet": ((3, 240, 240), 0, (240, 240), 23),
    "lstm": ((110,), 5002, (1,), 0), "gpt": ((128,), 65, (128,), 65),
}


# ---- both sides ----

def run_gradus(gradus, config, folder, epochs, more):
    command = [gradus, "train", str(config), f"run.dir={folder}", f"run.epochs={epochs}", "data.shuffle=false", "run.threads=2", "--quiet", *more]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr}")


def losses_of(folder):
    lines = (json.loads(line) for line in open(folder / "train" / "metrics.jsonl"))
    return [line["train_loss"] for line in lines if line["event"] == "epoch"]


def as_ours(net, names):
    """PyTorch's parameters under our names: both list them in the same order. Running statistics begin at 0 and 1."""
    parameters = iter(net.parameters())
    state = OrderedDict()
    for name, tensor in names.items():
        if name.endswith(("running_mean", "num_batches_tracked")):
            state[name] = torch.zeros_like(tensor)
        elif name.endswith("running_var"):
            state[name] = torch.ones_like(tensor)
        else:
            parameter = next(parameters).detach().clone()
            if parameter.shape != tensor.shape:
                sys.exit(f"{name}: {tuple(tensor.shape)} here, {tuple(parameter.shape)} in PyTorch")
            state[name] = parameter
    if next(parameters, None) is not None:
        sys.exit("PyTorch has more parameters")
    return state


def worst_difference(a, b):
    return max(abs(p - q) / abs(q) for p, q in zip(a, b))


def torch_losses(workload, net, x, y, steps, sgd):
    optimizer = torch.optim.SGD(net.parameters(), lr=sgd) if sgd else torch.optim.Adam(net.parameters(), lr=1e-3)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = workload.loss(net(workload.to_net(x)), x if workload.targets is None else y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def compare(name, options, folder):
    workload = WORKLOADS[name]
    config = folder / f"{name}.yaml"
    text = (HERE.parent / f"{name}.yaml").read_text().replace("dropout: 0.3", "dropout: 0")
    if options.sgd:
        text = re.sub("^optim:.*$", f"optim: {{sgd: {{lr: {options.sgd}}}}}", text, flags=re.M)
    config.write_text(text)
    more = ["run.exact_conv=true"] if options.exact else []
    run_gradus(options.gradus, config, folder / "names", 1, more)
    names = torch.load(folder / "names" / "train" / "last.pth", weights_only=True)["state_dict"]
    torch.manual_seed(1)
    net = workload.net(0.0).train()
    torch.save(as_ours(net, names), folder / "weights.pth")
    run_gradus(options.gradus, config, folder / "run", options.steps, [f"init.from={folder / 'weights.pth'}", *more])
    ours = losses_of(folder / "run")
    x, y = draw_batch(workload.batch, *DATA[name])
    if name == "lstm":
        y = y.squeeze(1)
    wide = copy.deepcopy(net).to(torch.float64)
    theirs = torch_losses(workload, net, x, y, options.steps, options.sgd)
    truth = torch_losses(workload, wide, *(v.double() if v.is_floating_point() else v for v in (x, y)), options.steps, options.sgd)
    worst, own, off = worst_difference(ours, theirs), worst_difference(theirs, truth), worst_difference(ours, truth)
    bound = WINOGRAD_BOUND if name in CONVOLUTIONS and not options.exact else BOUND
    good = len(ours) == options.steps and worst <= max(bound, 2 * own)
    print(f"{name:10} {len(ours):3} losses, {theirs[0]:.6f} to {theirs[-1]:.6f}: largest difference from PyTorch {worst:.1e} (bound {bound:.0e});"
          f" from double: PyTorch {own:.1e}, Gradus {off:.1e}{'' if good else '  TOO LARGE'}", flush=True)
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--gradus", default=str(HERE.parent.parent / "build" / "gradus"))
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--exact", action="store_true", help="without Winograd, to the tighter bound")
    parser.add_argument("--sgd", type=float, metavar="LR", help="plain gradient descent in place of Adam")
    parser.add_argument("workloads", nargs="*", default=list(WORKLOADS))
    options = parser.parse_args()
    torch.set_num_threads(2)
    good = True
    for name in options.workloads:
        with tempfile.TemporaryDirectory() as folder:
            good = compare(name, options, pathlib.Path(folder)) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
