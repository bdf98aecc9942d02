// Package limits tests rate limits, alone and on a shared Redis, and blocked networks.
package limits
