/* An inlet that flips a bit in every fourth data chunk, by id: damage all over a point. */
#ifndef SEALIFT_TEST_SPOILING_INLET_H
#define SEALIFT_TEST_SPOILING_INLET_H

#include "transporter/pipeline/inlet.h"

struct spoiling_inlet {
    struct inlet inner;
    unsigned fetches; /* as it tells those who fetch */
};

struct inlet spoiling_inlet_inlet(struct spoiling_inlet *inlet);

#endif
