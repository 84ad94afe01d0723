/* Lists of samples that people write: a line each, a picture's path, then its label, its mask's path or numbers. */
#ifndef GRD_DATA_FILE_LIST_H
#define GRD_DATA_FILE_LIST_H

#include "data/pictures.h"

#define GRD_LIST_COLUMNS 8

typedef enum grd_list_column { GRD_LIST_SKIP, GRD_LIST_IMAGE, GRD_LIST_MASK, GRD_LIST_LABEL, GRD_LIST_POINTS,
                               GRD_LIST_TARGET } grd_list_column;

typedef struct grd_list_rule {
    int n;
    grd_list_column column[GRD_LIST_COLUMNS];
    char separator;          /* ' ' blanks, or one byte; 0 = tab, comma or blanks, the first of them that the first line holds */
    const char *image, *mask; /* what paths are made from: "images/{}.jpg"; without a column mask it comes of the image's word */
    int part;
} grd_list_rule;

typedef struct grd_label_words { /* as they stand in the list, one a line; in the pictures' arena */
    const char **item;
    int n, cap;
} grd_label_words;

/* "image label", "image mask", "image,-,points" */
grd_status grd_list_columns(grd_host *host, const char *text, grd_list_rule *rule);
/* Adds a picture for each line of `text`, which has a zero byte at [size] and is written to. `file` begins the messages. Of the
 * label column the words are kept, also on failure: grd_free(words->item). */
grd_status grd_list_parse(grd_pictures *pictures, const char *file, char *text, size_t size, const grd_list_rule *rule,
                          grd_label_words *words);
/* The classes that the words name: 0 to the largest number, if all are numbers; else the distinct words, sorted. */
grd_status grd_list_classes(grd_arena *arena, const char *file, const grd_label_words *words, grd_class_names *classes);
/* Turns the words into labels of the pictures' classes. */
grd_status grd_list_labels(grd_pictures *pictures, const char *file, const grd_label_words *words);

#endif
