// Package doctor shows each check of the doctor on a deployment that is broken in just that way.
package doctor
