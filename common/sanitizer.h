/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Whether this is a build with the address sanitizer, whose leak checker traces its own process at the end:
 * that must be allowed there and nowhere else.
 */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZER_BUILD 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZER_BUILD 1
#endif
#endif
#ifndef SANITIZER_BUILD
#define SANITIZER_BUILD 0
#endif
