/* SPDX-License-Identifier: BSD-3-Clause */
/* The table behind decimal_format(): two digits per look-up halve the divisions. */

#include "common/decimal.h"

const char decimal_pairs[200] = {"00010203040506070809"
				 "10111213141516171819"
				 "20212223242526272829"
				 "30313233343536373839"
				 "40414243444546474849"
				 "50515253545556575859"
				 "60616263646566676869"
				 "70717273747576777879"
				 "80818283848586878889"
				 "90919293949596979899"};
