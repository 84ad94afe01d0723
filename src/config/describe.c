/* The reference of all config keys, from the option tables. */
#include "config/sections.h"

#include "base/options.h"

#include <gradus/run.h>

void grd_config_describe(FILE *out)
{
    fprintf(out, "Top level, and what a stage may replace:\n");
    for (const grd_top_key *k = grd_top_keys; k->name; k++)
        fprintf(out, "  %-20s %s\n", k->name, k->doc);
    for (const grd_section *const *s = grd_sections; *s; s++) {
        fprintf(out, "\n%s: %s\n", (*s)->name, (*s)->doc);
        for (const grd_option *o = (*s)->options; o->name; o++) {
            char def[64];
            fprintf(out, "  %-20s %-12s %s%s%s\n", o->name, grd_options_default(o, def, sizeof def), o->help,
                    o->type == GRD_OPTION_ENUM ? ": " : "", o->type == GRD_OPTION_ENUM ? o->text : "");
        }
    }
}
