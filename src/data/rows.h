/* The built-in sources and transforms. Adding one is its file and its line here. */
#ifndef GRD_DATA_ROWS_H
#define GRD_DATA_ROWS_H

#include <gradus/data.h>

/* each line: NAME of grd_source_NAME */
#define GRD_SOURCES(X) \
    X(idx)             \
    X(fashion_mnist)   \
    X(mnist)           \
    X(cifar10)         \
    X(cifar100)        \
    X(image_folder)    \
    X(image_pairs)     \
    X(file_list)       \
    X(keypoints)       \
    X(csv)             \
    X(csv_stream)      \
    X(npy)             \
    X(npz)             \
    X(text)            \
    X(labelled_text)   \
    X(parallel_text)   \
    X(spirals)         \
    X(moons)           \
    X(random)

/* each line: NAME of grd_transform_NAME */
#define GRD_TRANSFORMS(X)       \
    X(scale)                    \
    X(normalize)                \
    X(resize)                   \
    X(center_crop)              \
    X(random_crop)              \
    X(random_resized_crop)      \
    X(pad)                      \
    X(random_horizontal_flip)   \
    X(random_vertical_flip)     \
    X(random_rotation)          \
    X(random_affine)            \
    X(random_perspective)       \
    X(color_jitter)             \
    X(grayscale)                \
    X(random_grayscale)         \
    X(gaussian_blur)            \
    X(gaussian_noise)           \
    X(random_erasing)           \
    X(random_apply)             \
    X(random_choice)            \
    X(mixup)                    \
    X(cutmix)                   \
    X(impute)                   \
    X(min_max)                  \
    X(standardize)              \
    X(one_hot)                  \
    X(clip)                     \
    X(log)

#define GRD_DECLARE_SOURCE(name) extern const grd_source grd_source_##name;
#define GRD_DECLARE_TRANSFORM(name) extern const grd_transform grd_transform_##name;
GRD_SOURCES(GRD_DECLARE_SOURCE)
GRD_TRANSFORMS(GRD_DECLARE_TRANSFORM)

#endif
