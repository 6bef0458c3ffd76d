/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The interface files' texts, which the build puts into the programs: .varlink files of this folder. */

extern const char interface_control[];	       /* org.netlogd.control */
extern const char interface_upload[];	       /* org.netlogd.upload */
extern const char interface_device[];	       /* org.netlogd.device */
extern const char interface_varlink_service[]; /* org.varlink.service */
