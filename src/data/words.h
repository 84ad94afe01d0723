/* Text files line by line, cut where they lie: for lists that people write. */
#ifndef GRD_DATA_WORDS_H
#define GRD_DATA_WORDS_H

#include "base/host.h"

typedef struct grd_lines {
    char *next, *end;
    int64_t number; /* of the line that came last, from 1 */
} grd_lines;

/* `text` has one byte more than `size`, which is a zero; it is written to and must outlive the lines. A zero byte before is an
 * error that says its line. A byte order mark is passed over. */
grd_status grd_lines_start(grd_lines *lines, grd_host *host, const char *file, char *text, size_t size);
/* The next line that is neither empty nor a comment (#), without the blanks around it; NULL at the end. */
char *grd_lines_next(grd_lines *lines);

static inline bool grd_is_blank(char c) { return c == ' ' || c == '\t'; }
char *grd_skip_blanks(char *text);
void grd_trim_end(char *text);
/* The word at *text, which moves on behind it; ended by separator, or by blanks if that is ' '. Blanks around it are not part of
 * it. NULL when the text is used up. */
char *grd_next_word(char **text, char separator);

#endif
