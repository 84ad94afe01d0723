"""Two small kinds of SVG plot: grouped bars on a logarithmic axis, and lines on two logarithmic axes."""
import math
from html import escape

COLOURS = ("#1f6fb4", "#d9822b", "#5a9e4b", "#8a8a8a")
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 60, 50


class Canvas:
    def __init__(self, width, height, title):
        self.width, self.height = width, height
        self.parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
                      'font-family="sans-serif" font-size="12">', f'<rect width="{width}" height="{height}" fill="white"/>']
        self.text(width / 2, 22, title, "middle", 15)

    def text(self, x, y, words, anchor="start", size=12, turned=False):
        turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turned else ""
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"{turn}>{escape(words)}</text>')

    def rect(self, x, y, width, height, colour):
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{max(height, 0):.1f}" fill="{colour}"/>')

    def line(self, points, colour, width=1.0):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"/>')

    def legend(self, names):
        x = LEFT
        for name, colour in zip(names, COLOURS):
            self.rect(x, 34, 10, 10, colour)
            self.text(x + 15, 43, name)
            x += 35 + 7 * len(name)

    def write(self, path):
        with open(path, "w") as out:
            out.write("\n".join(self.parts + ["</svg>", ""]))


class LogAxis:
    """From the values' range in full decades (base 10) or octaves (base 2) to pixels."""

    def __init__(self, values, begin, end, base=10):
        self.base, self.begin, self.end = base, begin, end
        self.low = math.floor(math.log(min(values), base) + 1e-9)
        self.high = max(math.ceil(math.log(max(values), base) - 1e-9), self.low + 1)

    def at(self, value):
        share = (math.log(value, self.base) - self.low) / (self.high - self.low)
        return self.begin + share * (self.end - self.begin)

    def ticks(self):
        return [(self.base ** k, f"{float(self.base) ** k:g}") for k in range(self.low, self.high + 1)]


def y_axis(canvas, values, label):
    axis = LogAxis(values, canvas.height - BOTTOM, TOP)
    for value, name in axis.ticks():
        canvas.line([(LEFT, axis.at(value)), (canvas.width - RIGHT, axis.at(value))], "#dddddd")
        canvas.text(LEFT - 6, axis.at(value) + 4, name, "end")
    canvas.text(18, (TOP + canvas.height - BOTTOM) / 2, label, "middle", turned=True)
    return axis


def bars(path, title, label, groups, names, values):
    """values[name index][group index], None where there is none."""
    canvas = Canvas(880, 420, title)
    axis = y_axis(canvas, [v for row in values for v in row if v], label)
    room = (canvas.width - LEFT - RIGHT) / len(groups)
    width = 0.8 * room / len(names)
    for g, group in enumerate(groups):
        for k, row in enumerate(values):
            if row[g]:
                canvas.rect(LEFT + (g + 0.1) * room + k * width, axis.at(row[g]), width, axis.begin - axis.at(row[g]), COLOURS[k])
        canvas.text(LEFT + (g + 0.5) * room, canvas.height - BOTTOM + 18, group, "middle")
    canvas.legend(names)
    canvas.write(path)


def lines(path, title, x_label, y_label, series):
    """series: (name, [(x, y), ...])."""
    canvas = Canvas(760, 420, title)
    points = [p for _, row in series for p in row]
    y = y_axis(canvas, [p[1] for p in points], y_label)
    x = LogAxis([p[0] for p in points], LEFT, canvas.width - RIGHT, base=2)
    for value, name in x.ticks():
        canvas.line([(x.at(value), y.begin), (x.at(value), y.end)], "#eeeeee")
        canvas.text(x.at(value), canvas.height - BOTTOM + 18, name, "middle")
    canvas.text((LEFT + canvas.width - RIGHT) / 2, canvas.height - 12, x_label, "middle")
    for (_, row), colour in zip(series, COLOURS):
        canvas.line([(x.at(a), y.at(b)) for a, b in row], colour, 2.0)
    canvas.legend([name for name, _ in series])
    canvas.write(path)
