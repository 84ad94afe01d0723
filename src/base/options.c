#include "base/options.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int grd_options_count(const grd_option *table)
{
    int n = 0;
    while (table && table[n].name)
        n++;
    return n;
}

const grd_option *grd_options_find(const grd_option *table, const char *key)
{
    for (; table && table->name; table++)
        if (strcmp(table->name, key) == 0)
            return table;
    return NULL;
}

/* ---- nearest word ---- */

/* Edit distance with neighbour exchange, cut off at 24 letters. */
static int distance(const char *a, const char *b)
{
    enum { MAX = 24 };
    int n = (int)strlen(a), m = (int)strlen(b), d[MAX + 1][MAX + 1];
    if (n > MAX || m > MAX)
        return strcmp(a, b) ? MAX : 0;
    for (int i = 0; i <= n; i++)
        d[i][0] = i;
    for (int j = 0; j <= m; j++)
        d[0][j] = j;
    for (int i = 1; i <= n; i++)
        for (int j = 1; j <= m; j++) {
            int best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (d[i - 1][j] + 1 < best)
                best = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < best)
                best = d[i][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1 < best)
                best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    return d[n][m];
}

void grd_nearest_try(grd_nearest *nearest, const char *candidate)
{
    int n = (int)strlen(nearest->word), m = (int)strlen(candidate);
    int dist = distance(nearest->word, candidate);
    int limit = (n > m ? n : m) / 2;
    /* a word that is the end of the other ("learning_rate" for "lr" is none, "decay" for "weight_decay" is one) */
    if (n >= 3 && strstr(candidate, nearest->word))
        dist = 1;
    else if (m >= 2 && n > m) { /* initials: learning_rate ~ lr */
        const char *c = nearest->word;
        int k = 0;
        bool initials = true;
        for (const char *p = c; *p; p++)
            if (p == c || p[-1] == '_')
                initials = initials && k < m && candidate[k++] == *p;
        if (initials && k == m)
            dist = 1;
    }
    if (dist <= limit && (!nearest->best || dist < nearest->distance)) {
        nearest->best = candidate;
        nearest->distance = dist;
    }
}

const char *grd_nearest_text(const grd_nearest *nearest, char *text, size_t size)
{
    if (nearest->best)
        snprintf(text, size, "; did you mean \"%s\"?", nearest->best);
    else
        text[0] = 0;
    return text;
}

/* ---- text to values ---- */

static bool parse_int(const char *word, int64_t *value)
{
    char *end;
    errno = 0;
    long long v = strtoll(word, &end, 10);
    if (end != word && !*end && !errno) {
        *value = v;
        return true;
    }
    errno = 0; /* 1e6 is a whole number too */
    double d = strtod(word, &end);
    if (end == word || *end || errno || d != floor(d) || fabs(d) > 9e15)
        return false;
    *value = (int64_t)d;
    return true;
}

static bool parse_real(const char *word, double *value)
{
    char *end;
    double v = strtod(word, &end);
    if (end == word || *end || isnan(v))
        return false;
    *value = v;
    return true;
}

static bool parse_bool(const char *word, bool *value)
{
    static const char *const yes[] = { "true", "yes", "on", "1" }, *const no[] = { "false", "no", "off", "0" };
    for (int i = 0; i < 4; i++) {
        if (strcmp(word, yes[i]) == 0 || strcmp(word, no[i]) == 0) {
            *value = strcmp(word, yes[i]) == 0;
            return true;
        }
    }
    return false;
}

/* Index of `word` in "a|b|c", or -1. */
static int choice_index(const char *choices, const char *word)
{
    size_t n = strlen(word);
    int index = 0;
    for (const char *c = choices; c; index++) {
        const char *bar = strchr(c, '|');
        size_t m = bar ? (size_t)(bar - c) : strlen(c);
        if (m == n && strncmp(c, word, n) == 0)
            return index;
        c = bar ? bar + 1 : NULL;
    }
    return -1;
}

static const char *choice_name(const char *choices, int index, char *text, size_t size)
{
    const char *c = choices;
    while (c && index-- > 0) {
        c = strchr(c, '|');
        c = c ? c + 1 : NULL;
    }
    snprintf(text, size, "%.*s", c ? (int)strcspn(c, "|") : 0, c ? c : "");
    return text;
}

const char *grd_option_type_name(const grd_option *option)
{
    switch (option->type) { /* the type of a field, not the kind of an op */
    case GRD_OPTION_INT: return "a whole number";
    case GRD_OPTION_REAL: return "a number";
    case GRD_OPTION_BOOL: return "true or false";
    case GRD_OPTION_ENUM: return option->text;
    case GRD_OPTION_TEXT: return "text";
    case GRD_OPTION_PAIR: return "a whole number or a pair of them";
    case GRD_OPTION_INTS: return "a list of whole numbers";
    case GRD_OPTION_REALS: return "a list of numbers";
    }
    return "?";
}

static grd_status wrong_type(grd_host *host, const char *who, const grd_option *option, const char *word)
{
    return grd_fail(host, GRD_ERR_CONFIG, "%s: %s: expected %s%s, found \"%s\"", who, option->name,
                    option->type == GRD_OPTION_ENUM ? "one of " : "", grd_option_type_name(option), word);
}

static grd_status check_range(grd_host *host, const char *who, const grd_option *option, double value)
{
    if (option->min == option->max || (value >= option->min && value <= option->max))
        return GRD_OK;
    if (option->max >= 1e15)
        return grd_fail(host, GRD_ERR_CONFIG, "%s: %s: %g is too small, expected at least %g", who, option->name, value, option->min);
    return grd_fail(host, GRD_ERR_CONFIG, "%s: %s: %g is out of range, expected %g to %g", who, option->name, value, option->min,
                    option->max);
}

static grd_status set_number(grd_host *host, const grd_option *option, void *field, int64_t i, double d, const char *who)
{
    bool is_int = option->type != GRD_OPTION_REAL;
    double value = is_int ? (double)i : d;
    GRD_TRY(check_range(host, who, option, value));
    if (value == 0 && option->def != 0) {
        i = GRD_ZERO;
        d = GRD_ZERO;
    }
    if (is_int)
        *(int64_t *)field = i;
    else
        *(double *)field = d;
    return GRD_OK;
}

grd_status grd_options_set(grd_host *host, const grd_option *table, void *opts, const char *who, const char *key,
                           const char *const *words, int n_words, bool is_list)
{
    const grd_option *o = grd_options_find(table, key);
    if (!o) {
        grd_nearest nearest = { key, NULL, 0 };
        for (const grd_option *t = table; t && t->name; t++)
            grd_nearest_try(&nearest, t->name);
        char hint[80];
        return grd_fail(host, GRD_ERR_CONFIG, "%s: no option \"%s\"%s", who, key, grd_nearest_text(&nearest, hint, sizeof hint));
    }
    void *field = (char *)opts + o->offset;
    bool takes_list = o->type == GRD_OPTION_INTS || o->type == GRD_OPTION_REALS || o->type == GRD_OPTION_PAIR;
    if (is_list && !takes_list)
        return grd_fail(host, GRD_ERR_CONFIG, "%s: %s: expected %s, found a list", who, key, grd_option_type_name(o));
    int most = o->type == GRD_OPTION_PAIR ? 2 : GRD_MAX_LIST;
    if (n_words > most)
        return grd_fail(host, GRD_ERR_CONFIG, "%s: %s: expected at most %d values, found %d", who, key, most, n_words);
    if (n_words < 1 && o->type != GRD_OPTION_INTS && o->type != GRD_OPTION_REALS)
        return grd_fail(host, GRD_ERR_CONFIG, "%s: %s: expected %s, found nothing", who, key, grd_option_type_name(o));
    const char *word = n_words ? words[0] : "";
    if ((o->flags & GRD_OPTION_CAN_OFF) && (strcmp(word, "off") == 0 || strcmp(word, "false") == 0)) {
        if (o->type == GRD_OPTION_INT)
            *(int64_t *)field = GRD_OFF;
        else
            *(double *)field = GRD_OFF;
        return GRD_OK;
    }
    switch (o->type) {
    case GRD_OPTION_INT: {
        int64_t v;
        return parse_int(word, &v) ? set_number(host, o, field, v, 0, who) : wrong_type(host, who, o, word);
    }
    case GRD_OPTION_REAL: {
        double v;
        return parse_real(word, &v) ? set_number(host, o, field, 0, v, who) : wrong_type(host, who, o, word);
    }
    case GRD_OPTION_BOOL: {
        bool v;
        if (!parse_bool(word, &v))
            return wrong_type(host, who, o, word);
        *(bool *)field = (o->flags & GRD_OPTION_INVERTED) ? !v : v;
        return GRD_OK;
    }
    case GRD_OPTION_ENUM: {
        int index = choice_index(o->text, word);
        if (index < 0)
            return wrong_type(host, who, o, word);
        *(int *)field = index + 1;
        return GRD_OK;
    }
    case GRD_OPTION_TEXT:
        *(const char **)field = word;
        return GRD_OK;
    case GRD_OPTION_PAIR:
        for (int k = 0; k < 2; k++) {
            const char *w = words[k < n_words ? k : 0];
            int64_t v;
            if (!parse_int(w, &v))
                return wrong_type(host, who, o, w);
            GRD_TRY(check_range(host, who, o, (double)v));
            ((int64_t *)field)[k] = v == 0 && (k == 1 || o->def != 0) ? GRD_ZERO : v;
        }
        return GRD_OK;
    case GRD_OPTION_INTS: {
        grd_ints *list = field;
        list->n = n_words;
        for (int k = 0; k < n_words; k++)
            if (!parse_int(words[k], &list->v[k]))
                return wrong_type(host, who, o, words[k]);
        return GRD_OK;
    }
    case GRD_OPTION_REALS: {
        grd_reals *list = field;
        list->n = n_words;
        for (int k = 0; k < n_words; k++)
            if (!parse_real(words[k], &list->v[k]))
                return wrong_type(host, who, o, words[k]);
        return GRD_OK;
    }
    }
    return GRD_OK;
}

/* Cuts "[1, 2]" or "3" (in place) into words. */
static int cut_words(char *text, const char **words, int most, bool *is_list)
{
    *is_list = text[0] == '[';
    if (!*is_list) {
        words[0] = text;
        return 1;
    }
    int n = 0;
    text++;
    text[strcspn(text, "]")] = 0;
    for (char *c = text; *c;) {
        c += strspn(c, " ,");
        size_t length = strcspn(c, " ,");
        if (!length)
            break;
        if (n < most)
            words[n] = c;
        n++;
        c += length;
        if (*c)
            *c++ = 0;
    }
    return n;
}

grd_status grd_options_parse(grd_host *host, grd_arena *arena, const grd_option *table, void *opts, const char *who, const char *spec)
{
    int position = 0;
    if (!spec)
        return GRD_OK;
    char *text = grd_arena_strdup(arena, spec);
    if (!text)
        return GRD_ERR_MEMORY;
    for (char *c = text + strspn(text, " "); *c;) {
        char *end = c;
        for (int depth = 0; *end && (depth || *end != ' '); end++)
            depth += (*end == '[' || *end == '(') - (*end == ']' || *end == ')');
        if (*end)
            *end++ = 0;
        char *equal = strchr(c, '=');
        char *bracket = strpbrk(c, "[(");
        const char *key;
        char *value = c;
        if (equal && (!bracket || equal < bracket)) {
            *equal = 0;
            key = c;
            value = equal + 1;
        } else {
            if (position >= grd_options_count(table))
                return grd_fail(host, GRD_ERR_CONFIG, "%s: \"%s\" is one value too many, expected key=value", who, c);
            key = table[position++].name;
        }
        const char *words[GRD_MAX_LIST + 1];
        bool is_list = false;
        const grd_option *o = grd_options_find(table, key);
        int n = 1;
        if (o && (o->flags & GRD_OPTION_ROWS))
            words[0] = value;
        else
            n = cut_words(value, words, GRD_MAX_LIST + 1, &is_list);
        GRD_TRY(grd_options_set(host, table, opts, who, key, words, n, is_list));
        c = end + strspn(end, " ");
    }
    return GRD_OK;
}

static grd_status resolve_list(grd_host *host, const grd_option *o, void *field)
{
    int *n = field; /* both list types begin with their count */
    if (*n || !o->text)
        return GRD_OK;
    char copy[128];
    const char *words[GRD_MAX_LIST + 1];
    bool is_list;
    snprintf(copy, sizeof copy, "[%s]", o->text);
    int count = cut_words(copy, words, GRD_MAX_LIST + 1, &is_list);
    *n = count;
    for (int k = 0; k < count; k++) {
        bool ok = o->type == GRD_OPTION_INTS ? parse_int(words[k], &((grd_ints *)field)->v[k])
                                             : parse_real(words[k], &((grd_reals *)field)->v[k]);
        if (!ok)
            return wrong_type(host, "default", o, words[k]);
    }
    return GRD_OK;
}

grd_status grd_options_resolve(grd_host *host, const grd_option *table, size_t size, const char *who, const void *opts, void *out)
{
    if (!opts)
        memset(out, 0, size);
    else if (opts != out)
        memcpy(out, opts, size);
    for (const grd_option *o = table; o && o->name; o++) {
        void *field = (char *)out + o->offset;
        bool given = true;
        switch (o->type) {
        case GRD_OPTION_INT: {
            int64_t *v = field;
            given = *v != 0;
            *v = *v == GRD_OFF ? 0 : *v ? *v : (int64_t)o->def;
            if (given && *v)
                GRD_TRY(check_range(host, who, o, (double)*v));
            break;
        }
        case GRD_OPTION_REAL: {
            double *v = field;
            given = *v != 0;
            *v = *v == GRD_OFF ? 0 : *v != 0 ? *v : o->def;
            if (given && *v != 0)
                GRD_TRY(check_range(host, who, o, *v));
            break;
        }
        case GRD_OPTION_PAIR: {
            int64_t *v = field;
            given = v[0] != 0;
            v[0] = v[0] == GRD_OFF ? 0 : v[0] ? v[0] : (int64_t)o->def;
            v[1] = v[1] == GRD_OFF ? 0 : v[1] ? v[1] : v[0];
            for (int k = 0; k < 2 && given; k++)
                GRD_TRY(check_range(host, who, o, (double)v[k]));
            break;
        }
        case GRD_OPTION_ENUM: {
            int *v = field;
            int n = 1;
            for (const char *c = o->text; *c; c++)
                n += *c == '|';
            if (*v < 0 || *v > n)
                return grd_fail(host, GRD_ERR_ARG, "%s: %s: %d is none of %s", who, o->name, *v, o->text);
            *v = *v ? *v - 1 : (int)o->def;
            break;
        }
        case GRD_OPTION_TEXT: {
            const char **v = field;
            given = *v != NULL;
            if (!*v)
                *v = o->text;
            break;
        }
        case GRD_OPTION_INTS:
        case GRD_OPTION_REALS:
            given = *(int *)field != 0;
            if (*(int *)field < 0 || *(int *)field > GRD_MAX_LIST)
                return grd_fail(host, GRD_ERR_ARG, "%s: %s: a list of %d values, expected at most %d", who, o->name, *(int *)field,
                                GRD_MAX_LIST);
            GRD_TRY(resolve_list(host, o, field));
            break;
        case GRD_OPTION_BOOL: break;
        }
        if (!given && (o->flags & GRD_OPTION_REQUIRED))
            return grd_fail(host, GRD_ERR_CONFIG, "%s: %s is required (%s)", who, o->name, o->help);
    }
    return GRD_OK;
}

/* ---- values to text ---- */

static void print_real(double v, char *text, size_t size)
{
    for (int digits = 6; digits <= 17; digits++) { /* the shortest that reads back the same */
        int n = snprintf(text, size, "%.*g", digits, v);
        if (n < 0 || (size_t)n >= size || strtod(text, NULL) == v)
            return;
    }
}

char *grd_options_print(const grd_option *o, const void *resolved, char *text, size_t size)
{
    const void *field = (const char *)resolved + o->offset;
    char number[32];
    switch (o->type) {
    case GRD_OPTION_INT:
        if (*(const int64_t *)field == 0 && (o->flags & GRD_OPTION_CAN_OFF))
            snprintf(text, size, "off");
        else
            snprintf(text, size, "%lld", (long long)*(const int64_t *)field);
        break;
    case GRD_OPTION_REAL:
        if (*(const double *)field == 0 && (o->flags & GRD_OPTION_CAN_OFF))
            snprintf(text, size, "off");
        else
            print_real(*(const double *)field, text, size);
        break;
    case GRD_OPTION_BOOL:
        snprintf(text, size, "%s", *(const bool *)field != ((o->flags & GRD_OPTION_INVERTED) != 0) ? "true" : "false");
        break;
    case GRD_OPTION_ENUM: choice_name(o->text, *(const int *)field, text, size); break;
    case GRD_OPTION_TEXT: snprintf(text, size, "%s", *(const char *const *)field ? *(const char *const *)field : ""); break;
    case GRD_OPTION_PAIR: {
        const int64_t *v = field;
        if (v[0] == v[1])
            snprintf(text, size, "%lld", (long long)v[0]);
        else
            snprintf(text, size, "[%lld, %lld]", (long long)v[0], (long long)v[1]);
        break;
    }
    case GRD_OPTION_INTS:
    case GRD_OPTION_REALS: {
        int n = *(const int *)field;
        size_t used = (size_t)snprintf(text, size, "[");
        for (int k = 0; k < n && used < size; k++) {
            if (o->type == GRD_OPTION_INTS)
                snprintf(number, sizeof number, "%lld", (long long)((const grd_ints *)field)->v[k]);
            else
                print_real(((const grd_reals *)field)->v[k], number, sizeof number);
            used += (size_t)snprintf(text + used, size - used, "%s%s", k ? ", " : "", number);
        }
        if (used < size)
            snprintf(text + used, size - used, "]");
        break;
    }
    }
    return text;
}

char *grd_options_default(const grd_option *o, char *text, size_t size)
{
    if (o->flags & GRD_OPTION_REQUIRED)
        snprintf(text, size, "required");
    else if (o->type == GRD_OPTION_ENUM)
        choice_name(o->text, (int)o->def, text, size);
    else if (o->type == GRD_OPTION_TEXT)
        snprintf(text, size, "%s", o->text ? o->text : "");
    else if (o->type == GRD_OPTION_INTS || o->type == GRD_OPTION_REALS)
        snprintf(text, size, "[%s]", o->text ? o->text : "");
    else if (o->type == GRD_OPTION_BOOL)
        snprintf(text, size, "%s", o->flags & GRD_OPTION_INVERTED ? "true" : "false");
    else if (o->def == 0 && (o->flags & GRD_OPTION_CAN_OFF))
        snprintf(text, size, "off");
    else
        print_real(o->def, text, size);
    return text;
}

const char *grd_spec_name(const char *spec, char *name, size_t size)
{
    spec += strspn(spec, " ");
    size_t n = strcspn(spec, " ");
    snprintf(name, size, "%.*s", (int)n, spec);
    return spec + n + strspn(spec + n, " ");
}
