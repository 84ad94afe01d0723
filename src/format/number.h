/* Text to numbers, exactly and whatever the locale; and what looks like a date. Blanks around the text are allowed, nothing else:
 * these functions take the whole text or none of it. */
#ifndef GRD_FORMAT_NUMBER_H
#define GRD_FORMAT_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

/* The double nearest to a decimal number ("-1.5e-3", ".5", "5."; ties to even), or inf, infinity, nan in any case. `point` is '.'
 * or ','. A number too large for a double gives infinity. */
bool grd_parse_number(const char *text, char point, double *value);
bool grd_parse_integer(const char *text, int64_t *value); /* digits with a sign; false if it does not fit */

typedef enum grd_date_order { GRD_DATE_NONE, GRD_DATE_YMD /* 2024-01-31 or 2024/01/31 */, GRD_DATE_DMY /* 31.01.2024 */,
                              GRD_DATE_MDY /* 01/31/2024 */ } grd_date_order;
/* Month and day are looked at; a time of day may follow after a blank or a T. */
grd_date_order grd_parse_date(const char *text);

#endif
