/* SPDX-License-Identifier: Apache-2.0 */
/* first_login.h - the account `admin` of a new console, whose password is in a file that only root can read. */
#pragma once
#include "console.h"

#define BDR_FIRST_LOGIN_FILE "initial-password" /* in the console's folder; goes when the password is changed */

/*
 * Makes the account if there is none at all. The file is there before the account is: whoever is killed in between makes
 * both anew, and nobody is left with an account whose password nobody knows.
 */
bdr_ret bdr_first_login(struct bdr_console *c);
/* The account `name` has another password: the file goes, if it was that one's. */
void bdr_first_login_over(const struct bdr_console *c, const char *name);
