"""The nine workloads in PyTorch, timed on request.

As a program: torch_steps.py WORKLOAD eager|compile THREADS [BATCH]. It builds the workload, warms it up and prints one JSON
line; then each line "SECONDS" on its input is answered by one JSON line with the median and minimum of so long a slice of
steps. So slices of several programs can take turns and each pays its start only once. A step: loss read, all gradients, Adam.

The nets list their parameters in the order in which the configs of Gradus do: same_losses.py copies weights by it."""
import json
import os
import statistics
import sys
import time

if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = sys.argv[3]

import torch
from torch import nn
from torch.nn import functional as F


# ---- pieces ----

def dense(*widths):
    """Linear layers with ReLU between them."""
    layers = []
    for before, after in zip(widths, widths[1:]):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return layers[:-1]


def conv_norm(before, after, kernel=3, stride=1):
    return [nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(after)]


def conv_norm_relu(before, after):
    return conv_norm(before, after) + [nn.ReLU()]


class Residual(nn.Module):
    def __init__(self, before, after, stride):
        super().__init__()
        self.main = nn.Sequential(*conv_norm(before, after, stride=stride), nn.ReLU(), *conv_norm(after, after))
        same = before == after and stride == 1
        self.around = nn.Identity() if same else nn.Sequential(*conv_norm(before, after, kernel=1, stride=stride))

    def forward(self, x):
        return F.relu(self.main(x) + self.around(x))


# ---- nets ----

def cnn():
    layers, channels = [], 3
    for width in (32, 64, 128):
        layers += conv_norm_relu(channels, width) + conv_norm_relu(width, width) + [nn.MaxPool2d(2)]
        channels = width
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * 4 * 4, 10))


def resnet20():
    """He, Zhang, Ren, Sun 2015, for pictures of 32 x 32."""
    layers, channels = conv_norm_relu(3, 16), 16
    for width in (16, 32, 64):
        for block in range(3):
            layers.append(Residual(channels, width, 2 if block == 0 and width > 16 else 1))
            channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def keypoint(dropout):
    layers, channels = [], 1
    for width in (32, 64, 128, 256):
        layers += conv_norm_relu(channels, width) + [nn.MaxPool2d(2)]
        channels = width
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(256 * 6 * 6, 512), nn.ReLU(), nn.Dropout(dropout), nn.Linear(512, 30))


class UNet(nn.Module):
    """Ronneberger, Fischer, Brox 2015, with three levels of 16, 32, 64 channels over 128, and batch norm."""

    def __init__(self, classes=23):
        super().__init__()
        widths, channels = (16, 32, 64), 3
        self.down = nn.ModuleList()
        for width in widths:
            self.down.append(self.double(channels, width))
            channels = width
        self.bottom = self.double(channels, 2 * channels)
        self.up = nn.ModuleList()
        for width in reversed(widths):
            self.up.append(nn.ModuleList([nn.ConvTranspose2d(2 * width, width, 2, 2), self.double(2 * width, width)]))
        self.out = nn.Conv2d(widths[0], classes, 1)

    @staticmethod
    def double(before, after):
        return nn.Sequential(*conv_norm_relu(before, after), *conv_norm_relu(after, after))

    def forward(self, x):
        skipped = []
        for level in self.down:
            x = level(x)
            skipped.append(x)
            x = F.max_pool2d(x, 2)
        x = self.bottom(x)
        for grow, merge in self.up:
            x = merge(torch.cat([grow(x), skipped.pop()], 1))
        return self.out(x)


class Sentiment(nn.Module):
    """Words, time first, to one logit; the last state of an LSTM decides."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(5002, 150, padding_idx=0)
        self.lstm = nn.LSTM(150, 128)
        self.head = nn.Linear(128, 1)

    def forward(self, x):
        states, _ = self.lstm(self.words(x))
        return self.head(states[-1]).squeeze(1)


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.qkv, self.mix = nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.norm2, self.wide, self.narrow = nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        batch, time_, width = x.shape
        q, k, v = (part.view(batch, time_, self.heads, -1).transpose(1, 2) for part in self.qkv(self.norm1(x)).chunk(3, -1))
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.mix(seen.transpose(1, 2).reshape(batch, time_, width))
        return x + self.narrow(F.gelu(self.wide(self.norm2(x))))


class Positions(nn.Module):
    def __init__(self, times, width):
        super().__init__()
        self.table = nn.Parameter(torch.randn(times, width) * 0.02)

    def forward(self, x):
        return x + self.table


def gpt(vocabulary=65, width=128, heads=4, blocks=4, times=128):
    return nn.Sequential(nn.Embedding(vocabulary, width), Positions(times, width), *(Block(width, heads) for _ in range(blocks)),
                         nn.LayerNorm(width), nn.Linear(width, vocabulary))


# ---- workloads ----

def noise(*shape):
    return lambda n: torch.randn(n, *shape)


def numbers(below, *shape):
    return lambda n: torch.randint(0, below, (n, *shape))


def cross_entropy(output, label):
    return F.cross_entropy(output, label)


class Workload:
    """net(dropout) -> module; inputs(n), targets(n) -> tensors, samples first; targets None: the input."""

    def __init__(self, batch, params, net, inputs, targets, loss, time_first=False):
        self.batch, self.params, self.net, self.inputs, self.targets = batch, params, net, inputs, targets
        self.loss, self.time_first = loss, time_first

    def data(self, n):
        x = self.inputs(n)
        return x, x if self.targets is None else self.targets(n)

    def to_net(self, x):
        return x.t().contiguous() if self.time_first else x


WORKLOADS = {
    "tiny": Workload(16, 131, lambda dropout: nn.Sequential(*dense(4, 16, 3)), noise(4), numbers(3), cross_entropy),
    "ae": Workload(128, 435536, lambda dropout: nn.Sequential(*dense(784, 256, 64, 256, 784)), noise(784), None, F.mse_loss),
    "mlp": Workload(128, 1707274, lambda dropout: nn.Sequential(*dense(3072, 512, 256, 10)), noise(3072), numbers(10),
                    cross_entropy),
    "cnn": Workload(128, 307946, lambda dropout: cnn(), noise(3, 32, 32), numbers(10), cross_entropy),
    "resnet20": Workload(128, 272474, lambda dropout: resnet20(), noise(3, 32, 32), numbers(10), cross_entropy),
    "keypoint": Workload(32, 5122814, keypoint, noise(1, 96, 96), noise(30), F.mse_loss),
    "unet": Workload(4, 483111, lambda dropout: UNet(), noise(3, 240, 240), numbers(23, 240, 240),
                     lambda output, label: F.cross_entropy(output, label, ignore_index=-1)),
    "lstm": Workload(32, 893789, lambda dropout: Sentiment(), numbers(5002, 110), lambda n: torch.randint(0, 2, (n,)).float(),
                     F.binary_cross_entropy_with_logits, time_first=True),
    "gpt": Workload(32, 826433, lambda dropout: gpt(), numbers(65, 128), numbers(65, 128),
                    lambda output, label: F.cross_entropy(output.reshape(-1, 65), label.reshape(-1))),
}
DROPOUT = 0.3


def stepper(net, forward, loss, x, y):
    """A function that does one step and returns the loss."""
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)

    def step():
        optimizer.zero_grad()
        value = loss(forward(x), y)
        value.backward()
        optimizer.step()
        return value.item()

    return step


# ---- the program ----

def peak_memory():
    """Largest resident size of this process in MiB; not what it had been before it was this program."""
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0


def timed(step, seconds, least):
    times, end = [], time.perf_counter() + seconds
    while len(times) < least or time.perf_counter() < end:
        begin = time.perf_counter()
        step()
        times.append((time.perf_counter() - begin) * 1e3)
    return times


def say(**answer):
    print(json.dumps(answer), flush=True)


def main():
    name, mode, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    workload = WORKLOADS[name]
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    net = workload.net(DROPOUT).train()
    x, y = workload.data(int(sys.argv[4]) if len(sys.argv) > 4 else workload.batch)
    step = stepper(net, torch.compile(net) if mode == "compile" else net, workload.loss, workload.to_net(x), y)
    first_step = time.clock_gettime(time.CLOCK_MONOTONIC)
    timed(step, 0, 3)
    say(first_step=first_step, params=sum(p.numel() for p in net.parameters()), version=torch.__version__)
    for line in sys.stdin:
        timed(step, 0, 1)
        times = timed(step, float(line), 3)
        say(median_ms=statistics.median(times), min_ms=min(times), steps=len(times), rss_mib=peak_memory())


if __name__ == "__main__":
    main()
