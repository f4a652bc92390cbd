/* SPDX-License-Identifier: Apache-2.0 */
/* The sample as a program, for tests/unit/cli/outside. */
#include "sample.h"

int main(int argc, char **argv)
{
    return bdr_cli_main(&sample_app, argc, argv);
}
