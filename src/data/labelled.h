/* Texts with classes as they lie in files: a table with a text a line, or a folder for each class with a text a file. */
#ifndef GRD_DATA_LABELLED_H
#define GRD_DATA_LABELLED_H

#include "data/class_names.h"
#include "data/listing.h"
#include "format/csv.h"

typedef struct grd_labelled_opts { /* in the source's options */
    const char *file, *folder, *classes;
    const char *text, *label, *separator;
    bool no_header, quotes;
} grd_labelled_opts;

typedef struct grd_labelled {
    grd_host *host;
    grd_arena arena;
    const char *path;     /* of the file or folder */
    bool table;
    grd_csv csv;          /* of a table */
    int text, label;      /* its columns */
    grd_listing folders, files; /* else: its folders; all files, below path */
    const char **given;   /* classes, by name, in order */
    int n_given;
} grd_labelled;

typedef struct grd_labelled_text {
    const char *text, *label;
    size_t size;
    const char *file; /* as a person knows it: for messages and names */
    uint64_t line;
} grd_labelled_text;

/* On failure nothing is left to close. */
grd_status grd_labelled_open(grd_host *host, const grd_labelled_opts *opts, int part, grd_labelled *set);
void grd_labelled_close(grd_labelled *set);
int64_t grd_labelled_count(const grd_labelled *set);
/* The classes that are given, else all that there are, sorted; memory is the arena's. */
grd_status grd_labelled_classes(const grd_labelled *set, grd_arena *arena, grd_class_names *classes);
/* Every text in its order, until one fails; what it points to is valid during the call. */
grd_status grd_labelled_each(const grd_labelled *set, grd_status (*visit)(void *user, const grd_labelled_text *text), void *user);

#endif
