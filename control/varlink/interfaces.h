/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The texts of the .varlink files in control/, which the build puts into the programs. */

extern const char interface_control[];	       /* org.netlogd.control */
extern const char interface_upload[];	       /* org.netlogd.upload */
extern const char interface_device[];	       /* org.netlogd.device */
extern const char interface_varlink_service[]; /* org.varlink.service */
