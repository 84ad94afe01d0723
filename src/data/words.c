#include "data/words.h"

#include <string.h>

grd_status grd_lines_start(grd_lines *lines, grd_host *host, const char *file, char *text, size_t size)
{
    const char *zero = memchr(text, 0, size);
    if (zero) {
        int64_t line = 1;
        for (const char *c = text; c < zero; c++)
            line += *c == '\n';
        return grd_fail(host, GRD_ERR_FORMAT, "%s:%lld: a zero byte, expected text", file, (long long)line);
    }
    bool mark = size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0;
    *lines = (grd_lines){ .next = text + (mark ? 3 : 0), .end = text + size };
    return GRD_OK;
}

char *grd_lines_next(grd_lines *lines)
{
    while (lines->next < lines->end) {
        char *line = lines->next, *stop = memchr(line, '\n', (size_t)(lines->end - line));
        stop = stop ? stop : lines->end;
        lines->next = stop < lines->end ? stop + 1 : stop;
        lines->number++;
        *stop = 0;
        line = grd_skip_blanks(line);
        grd_trim_end(line);
        if (*line && *line != '#')
            return line;
    }
    return NULL;
}

char *grd_skip_blanks(char *text) { return text + strspn(text, " \t\r"); }

void grd_trim_end(char *text)
{
    size_t n = strlen(text);
    while (n > 0 && (grd_is_blank(text[n - 1]) || text[n - 1] == '\r'))
        n--;
    text[n] = 0;
}

char *grd_next_word(char **text, char separator)
{
    if (!*text)
        return NULL;
    char *word = grd_skip_blanks(*text), *stop;
    if (separator == ' ') {
        if (!*word)
            return NULL;
        stop = word + strcspn(word, " \t");
    } else {
        word = separator == '\t' ? *text + strspn(*text, " ") : word;
        stop = strchr(word, separator);
    }
    *text = stop && *stop ? stop + 1 : NULL;
    if (stop)
        *stop = 0;
    grd_trim_end(word);
    return word;
}
