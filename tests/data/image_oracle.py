"""Pictures through torchvision.transforms.v2.functional, for the tests of src/data/image_*.c.

  image_oracle.py golden        prints tests/data/golden_image.h: a small picture, every transform
  image_oracle.py stream DIR N  writes N/2 pictures of DIR/msrc and N/2 of DIR/cifar10 through every transform to stdout: a line
                                "name type channels height width out_channels out_height out_width p0 .. p11", then the input's
                                bytes and the expected ones
  image_oracle.py rows DIR N    the same of torchvision's classes, their random choice fixed by their options; the name is our row,
                                + in place of blanks
"""
import glob, os, sys, tarfile, textwrap

import numpy as np
import torch
import torchvision.transforms.v2 as v2
import torchvision.transforms.v2.functional as F
from torchvision.transforms import InterpolationMode as M

torch.set_num_threads(1)
PARAMETERS = 12


def resizes(h, w):
    for name, mode, aa in (("nearest", M.NEAREST, False), ("bilinear", M.BILINEAR, False), ("bilinear_aa", M.BILINEAR, True),
                           ("bicubic", M.BICUBIC, False), ("bicubic_aa", M.BICUBIC, True)):
        for size in ((h * 5 // 8, w * 3 // 7), (h * 6 // 5, w * 6 // 5)):
            yield "resize_" + name, [], lambda t, size=size, mode=mode, aa=aa: F.resize(t, list(size), mode, antialias=aa)
    for size in ((h * 5 // 8, w * 3 // 7), (h * 6 // 5, w * 6 // 5)):
        def area(t, size=size):
            out = torch.nn.functional.interpolate(t[None].float(), size, mode="area")[0]
            return out.round().to(torch.uint8) if t.dtype == torch.uint8 else out
        yield "resize_area", [], area


def warps(h, w, one):
    fill = [float(np.float32(v * one)) for v in (0.1, 0.5, 0.9)]
    start = [[0, 0], [w - 1, 0], [w - 1, h - 1], [0, h - 1]]
    # no pixel lies on an edge
    end = [[w / 8.3, h / 9.1], [w - 1.2 - w / 10, 1.1], [w - 2.3, h - 1 - h / 8], [0.2, h - 1.3 - h / 12]]
    corners = [v for p in start for v in p], [v for p in end for v in p]
    for name, mode in (("nearest", M.NEAREST), ("bilinear", M.BILINEAR)):
        yield "rotate_" + name, [-17.0] + fill, lambda t, m=mode: F.rotate(t, 17.0, m, fill=fill)
        yield ("affine_" + name, [11.0, 3, -2, 1.2, 7, -4] + fill,
               lambda t, m=mode: F.affine(t, 11.0, [3, -2], 1.2, [7.0, -4.0], m, fill=fill))
        yield ("perspective_" + name, corners[1] + fill, lambda t, m=mode: F.perspective(t, start, end, m, fill=fill))
    yield "rotate_bilinear_nofill", [-30.0], lambda t: F.rotate(t, 30.0, M.BILINEAR)


def moves(h, w):
    yield "flip_horizontal", [], F.horizontal_flip
    yield "flip_vertical", [], F.vertical_flip
    yield "crop", [1, 2], lambda t: F.crop(t, 1, 2, h - 2, w - 3)
    for name in ("constant", "reflect", "edge"):
        yield "pad_" + name, [2, 3], lambda t, name=name: F.pad(t, [3, 2, 1, 2], fill=0, padding_mode=name)


def colours():
    for factor in (0.6, 1.3):
        yield "brightness", [factor], lambda t, f=factor: F.adjust_brightness(t, f)
        yield "contrast", [factor], lambda t, f=factor: F.adjust_contrast(t, f)
        yield "saturation", [factor], lambda t, f=factor: F.adjust_saturation(t, f)
    for shift in (-0.2, 0.07):
        yield "hue", [shift], lambda t, s=shift: F.adjust_hue(t, s)
    yield "grayscale", [], lambda t: F.rgb_to_grayscale(t, 1)
    yield "blur", [5, 3, 1.3, 0.7], lambda t: F.gaussian_blur(t, [3, 5], [0.7, 1.3])
    mean, std = [.485, .456, .406], [.229, .224, .225]
    yield "normalize", mean + std, lambda t: F.normalize(F.to_dtype(t, torch.float32, scale=True), mean, std)


def cases(picture):
    h, w = picture.shape[1:]
    for kind, t in (("u8", picture), ("f32", F.to_dtype(picture, torch.float32, scale=True))):
        for group in (resizes(h, w), moves(h, w), warps(h, w, 255 if kind == "u8" else 1), colours()):
            for name, p, f in group:
                yield name, kind, list(p) + [0] * (PARAMETERS - len(p)), t, f(t).contiguous()


def rows():
    yield "resize 56", v2.Resize(56)
    yield "resize size=[80,70] interpolation=bicubic", v2.Resize([80, 70], M.BICUBIC)
    yield "resize size=[80,70] interpolation=bicubic antialias=false", v2.Resize([80, 70], M.BICUBIC, antialias=False)
    yield "resize size=[20,17] antialias=false", v2.Resize([20, 17], antialias=False)
    yield "resize size=45 interpolation=nearest", v2.Resize(45, M.NEAREST)
    yield "center_crop 24", v2.CenterCrop(24)
    yield "center_crop size=[51,60]", v2.CenterCrop([51, 60])
    yield "random_resized_crop size=[30,26] scale=[1,1] ratio=[1.3,1.3]", v2.RandomResizedCrop([30, 26], (1, 1), (1.3, 1.3))
    yield "pad 3", v2.Pad(3)
    yield "pad padding=[2,5] padding_mode=edge", v2.Pad([2, 5], padding_mode="edge")
    yield "pad padding=[1,2,3,4] padding_mode=reflect", v2.Pad([1, 2, 3, 4], padding_mode="reflect")
    yield "random_horizontal_flip p=1", v2.RandomHorizontalFlip(1)
    yield "random_vertical_flip p=1", v2.RandomVerticalFlip(1)
    for mode in M.NEAREST, M.BILINEAR:
        how = " interpolation=" + mode.value
        yield "random_rotation degrees=[17,17]" + how, v2.RandomRotation((17, 17), mode)
        yield "random_rotation degrees=[-30,-30]" + how, v2.RandomRotation((-30, -30), mode)
        yield "random_affine degrees=[11,11] scale=[1.2,1.2]" + how, v2.RandomAffine((11, 11), scale=(1.2, 1.2), interpolation=mode)
        yield "random_affine degrees=[0,0] shear=[7,7,-4,-4]" + how, v2.RandomAffine((0, 0), shear=(7, 7, -4, -4), interpolation=mode)
    for kind in "brightness", "contrast", "saturation":
        for factor in 0.6, 1.3:
            yield f"color_jitter {kind}=[{factor},{factor}]", v2.ColorJitter(**{kind: (factor, factor)})
    yield "color_jitter hue=[-0.2,-0.2]", v2.ColorJitter(hue=(-0.2, -0.2))
    yield "color_jitter hue=[0.07,0.07]", v2.ColorJitter(hue=(0.07, 0.07))
    yield "grayscale", v2.Grayscale()
    yield "grayscale 3", v2.Grayscale(3)
    yield "random_grayscale p=1", v2.RandomGrayscale(1)
    yield "gaussian_blur kernel_size=5 sigma=[1.3,1.3]", v2.GaussianBlur(5, (1.3, 1.3))
    yield "gaussian_blur kernel_size=[5,3] sigma=[0.8,0.8]", v2.GaussianBlur([5, 3], (0.8, 0.8))


def row_cases(picture):
    for kind, t in (("u8", picture), ("f32", F.to_dtype(picture, torch.float32, scale=True))):
        for name, row in rows():
            yield name.replace(" ", "+"), kind, [0] * PARAMETERS, t, row(t).contiguous()
        if kind == "f32":
            mean, std = [.485, .456, .406], [.229, .224, .225]
            name = "normalize+mean=[{},{},{}]+std=[{},{},{}]".format(*mean, *std)
            yield name, kind, [0] * PARAMETERS, t, v2.Normalize(mean, std)(t)


def small():
    i = np.arange(3 * 7 * 8)
    return torch.from_numpy(((i * 37 + i * i * 11) % 251).astype(np.uint8).reshape(3, 7, 8))


def golden():
    print("/* What torchvision makes of a picture of 3 x 7 x 8 bytes, byte i = (37 i + 11 i i) mod 251, and of the same / 255.\n"
          " * Written by image_oracle.py. Floats are in 1/10000. */")
    print("static const golden goldens[] = {")
    for name, kind, p, t, out in cases(small()):
        values = out.flatten().tolist() if out.dtype == torch.uint8 else (out.double() * 10000).round().int().flatten().tolist()
        parameters = textwrap.fill(", ".join(repr(float(v)) for v in p), 125, initial_indent="      { ", subsequent_indent="        ")
        print('    { "%s", "%s", { %d, %d, %d },\n%s },\n      (const int16_t[]){' % (name, kind, *out.shape, parameters))
        line = "       "
        for v in values:
            if len(line) + len(str(v)) > 125:
                print(line)
                line = "       "
            line += " %d," % v
        print(line + " } },")
    print("};")


def pictures(folder, n):
    from PIL import Image
    for path in sorted(glob.glob(folder + "/msrc/images/*.jpg"))[:n // 2]:
        yield torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1).contiguous()
    with tarfile.open(glob.glob(folder + "/cifar10/*.tar.xz")[0], "r|xz") as tar:
        for member in tar:
            if os.path.basename(member.name).startswith("data_batch"):
                data = np.frombuffer(tar.extractfile(member).read(3073 * (n // 2)), np.uint8).reshape(-1, 3073)
                for row in data:
                    yield torch.from_numpy(row[1:].reshape(3, 32, 32).copy())
                return


def stream(folder, n, cases):
    for picture in pictures(folder, n):
        for name, kind, p, t, out in cases(picture):
            head = [name, kind, *t.shape, *out.shape, *map(repr, map(float, p))]
            sys.stdout.buffer.write((" ".join(map(str, head)) + "\n").encode() + t.numpy().tobytes() + out.numpy().tobytes())


golden() if sys.argv[1] == "golden" else stream(sys.argv[2], int(sys.argv[3]), row_cases if sys.argv[1] == "rows" else cases)
