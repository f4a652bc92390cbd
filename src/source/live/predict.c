/* SPDX-License-Identifier: Apache-2.0 */
#include "predict.h"
#include "bdr/attr.h"

#define PREDICT_AIM   0.3                 /* of the budget: rather a pass more than a window near its end */
#define PREDICT_SAFE  0.75                /* of the budget: measured rates vary */
#define PREDICT_GAIN  0.8                 /* a pass has to leave less than this of what there was */
#define PREDICT_FLOOR ((uint64_t)4 << 20) /* not worth a pass whatever it would gain */

static double predict_window(const struct live_outlook *o)
{
    return o->freeze_ms + 1000.0 * (double)o->dirty_bytes / BDR_MAX(o->capture_rate, 1.0);
}

uint32_t live_window_ms(const struct live_outlook *o)
{
    return (uint32_t)BDR_MIN(predict_window(o), 4e9);
}

enum live_advice live_advise(const struct live_outlook *o)
{
    double window = predict_window(o);
    double pass_s = (double)o->dirty_bytes / BDR_MAX(o->read_rate, 1.0) + o->overhead_ms / 1000.0;
    bool helps = o->write_rate * pass_s < PREDICT_GAIN * (double)o->dirty_bytes;
    bool fits = window <= PREDICT_SAFE * o->budget_ms && o->dirty_bytes <= o->capture_bytes;

    if (fits && (window <= PREDICT_AIM * o->budget_ms || o->dirty_bytes <= PREDICT_FLOOR))
        return LIVE_FREEZE;
    if (helps && o->passes < o->passes_max)
        return LIVE_PASS;
    return fits ? LIVE_FREEZE : LIVE_HOPELESS;
}

const char *live_label(const struct live_facts *f)
{
    if (!f->one_moment)
        return "inconsistent";
    if (f->raw || !f->frozen)
        return "crash";
    return f->prepared ? "application" : "filesystem";
}
