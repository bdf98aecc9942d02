// Package privacy tests what people may ask of what is kept about them: that an account is erased, wherever its owner's data
// stands, and that a copy has all of it and nothing else.
package privacy
