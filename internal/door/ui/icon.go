package ui

// icons are the symbols of the design, by name: 16 by 16, one stroke of 1.5, round ends. logo is 24 by 24 and
// filled.
var icons = map[string]string{
	"again": `<symbol id="again" viewBox="0 0 16 16"><path d="M13.3 8a5.3 5.3 0 1 1-1.6-3.8L13.5 6M13.5 2.5V6H10"/></symbol>`,
	"app":   `<symbol id="app" viewBox="0 0 16 16"><rect x="2.2" y="2.2" width="11.6" height="11.6" rx="2.5"/><path d="M2.2 6h11.6M4.7 4.1h.01"/></symbol>`,
	"back":  `<symbol id="back" viewBox="0 0 16 16"><path d="M10 3.5L5.5 8 10 12.5"/></symbol>`,
	"ban":   `<symbol id="ban" viewBox="0 0 16 16"><circle cx="8" cy="8" r="6.2"/><path d="M3.7 3.7l8.6 8.6"/></symbol>`,
	"bell":  `<symbol id="bell" viewBox="0 0 16 16"><path d="M4 11V7a4 4 0 0 1 8 0v4l1.2 1.4H2.8zM6.8 14.3h2.4"/></symbol>`,
	"bin":   `<symbol id="bin" viewBox="0 0 16 16"><path d="M2.8 4.5h10.4M6 4.3V2.8h4v1.5M4.2 4.5l.6 9.1h6.4l.6-9.1"/></symbol>`,
	"book": `<symbol id="book" viewBox="0 0 16 16"><path d="M8 4C6.5 2.9 4.5 2.7 2 2.9v9.4c2.5-.2 4.5 0 6 1.1 1.5-1.1 3.5-1.3 6-1.1V2.9c-2.5-.2-4.5 0-6 ` +
		`1.1zM8 4v9.2"/></symbol>`,
	"check": `<symbol id="check" viewBox="0 0 16 16"><path d="M3 8.6l3.3 3.3L13 4.7"/></symbol>`,
	"clock": `<symbol id="clock" viewBox="0 0 16 16"><circle cx="8" cy="8" r="6.2"/><path d="M8 4.4V8l2.5 1.5"/></symbol>`,
	"copy": `<symbol id="copy" viewBox="0 0 16 16"><rect x="5.5" y="5.5" width="8" height="8" rx="1.5"/><path d="M10.5 5.3V4A1.5 1.5 0 0 0 9 2.5H4A1.5 ` +
		`1.5 0 0 0 2.5 4v5A1.5 1.5 0 0 0 4 10.5h1.3"/></symbol>`,
	"cross": `<symbol id="cross" viewBox="0 0 16 16"><path d="M4 4l8 8M12 4l-8 8"/></symbol>`,
	"doctor": `<symbol id="doctor" viewBox="0 0 16 16"><rect x="3.2" y="2.8" width="9.6" height="11.4" rx="1.4"/><path d="M6 4.2V1.8h4v2.4M5.7 9.2l1.6 ` +
		`1.6 3-3.3"/></symbol>`,
	"dots":   `<symbol id="dots" viewBox="0 0 16 16"><path d="M3.5 8h.01M8 8h.01M12.5 8h.01" stroke-width="2.2"/></symbol>`,
	"down":   `<symbol id="down" viewBox="0 0 16 16"><path d="M3.5 6L8 10.5 12.5 6"/></symbol>`,
	"fetch":  `<symbol id="fetch" viewBox="0 0 16 16"><path d="M8 2.3v7.9M4.8 7.2L8 10.4l3.2-3.2M2.8 13.6h10.4"/></symbol>`,
	"find":   `<symbol id="find" viewBox="0 0 16 16"><circle cx="7" cy="7" r="4.4"/><path d="M10.3 10.3l3.3 3.3"/></symbol>`,
	"flag":   `<symbol id="flag" viewBox="0 0 16 16"><path d="M3.5 14.2V2.2M3.5 3h9l-2.2 2.9 2.2 2.9h-9"/></symbol>`,
	"home":   `<symbol id="home" viewBox="0 0 16 16"><path d="M2.3 7.3L8 2.4l5.7 4.9M3.8 6.3v7.3h8.4V6.3"/></symbol>`,
	"info":   `<symbol id="info" viewBox="0 0 16 16"><circle cx="8" cy="8" r="6.2"/><path d="M8 7.4v3.8M8 5v.1"/></symbol>`,
	"key":    `<symbol id="key" viewBox="0 0 16 16"><circle cx="5.4" cy="10.6" r="3.1"/><path d="M7.7 8.3l5.8-5.8M11 5l2 2"/></symbol>`,
	"laptop": `<symbol id="laptop" viewBox="0 0 16 16"><rect x="3" y="3" width="10" height="7" rx="1"/><path d="M1.5 13h13"/></symbol>`,
	"leave":  `<symbol id="leave" viewBox="0 0 16 16"><path d="M6.5 2.5h-3a1 1 0 0 0-1 1v9a1 1 0 0 0 1 1h3M10.5 11.2L13.7 8l-3.2-3.2M13.5 8h-7"/></symbol>`,
	"lock":   `<symbol id="lock" viewBox="0 0 16 16"><rect x="3" y="7" width="10" height="6.8" rx="1.5"/><path d="M5.2 7V5a2.8 2.8 0 0 1 5.6 0v2"/></symbol>`,
	"log":    `<symbol id="log" viewBox="0 0 16 16"><path d="M5.5 4h8M5.5 8h8M5.5 12h8M2.5 4h.01M2.5 8h.01M2.5 12h.01"/></symbol>`,
	"logo": `<symbol id="logo" viewBox="0 0 24 24"><path fill-rule="evenodd" d="M2.5 22V11.5a9.5 9.5 0 0 1 19 0V22h-4.6V11.8a4.9 4.9 0 0 0-9.8 0V22zM9.6 ` +
		`22V12.2a2.4 2.4 0 0 1 4.8 0V22z"/></symbol>`,
	"mail": `<symbol id="mail" viewBox="0 0 16 16"><rect x="1.8" y="3.2" width="12.4" height="9.6" rx="1.5"/><path d="M2.3 4.4L8 8.9l5.7-4.5"/></symbol>`,
	"menu": `<symbol id="menu" viewBox="0 0 16 16"><path d="M2.5 4.5h11M2.5 8h11M2.5 11.5h11"/></symbol>`,
	"net": `<symbol id="net" viewBox="0 0 16 16"><circle cx="8" cy="8" r="6.2"/><path d="M1.8 8h12.4M8 1.8c2 1.9 2.7 4 2.7 6.2S10 12.3 8 14.2C6 12.3 5.3 ` +
		`10.2 5.3 8S6 3.7 8 1.8"/></symbol>`,
	"next": `<symbol id="next" viewBox="0 0 16 16"><path d="M6 3.5L10.5 8 6 12.5"/></symbol>`,
	"out": `<symbol id="out" viewBox="0 0 16 16"><path d="M9.5 2.5h4v4M13.5 2.5L7.8 8.2M11.8 9.5v3a1 1 0 0 1-1 1H3.5a1 1 0 0 1-1-1V5.2a1 1 0 0 1 ` +
		`1-1h3"/></symbol>`,
	"passkey": `<symbol id="passkey" viewBox="0 0 16 16"><circle cx="6.2" cy="4.8" r="2.8"/><path d="M1.3 13.8c.2-3 2.1-4.9 4.9-4.9.7 0 1.4.1 2 .4M12.2 ` +
		`10.4v4.1M12.2 12.8h1.5"/><circle cx="12.2" cy="8.3" r="2.1"/></symbol>`,
	"pause":  `<symbol id="pause" viewBox="0 0 16 16"><path d="M5.5 3.5v9M10.5 3.5v9"/></symbol>`,
	"pencil": `<symbol id="pencil" viewBox="0 0 16 16"><path d="M10.8 2.7l2.5 2.5-7.8 7.8-3.2.7.7-3.2z"/></symbol>`,
	"phone":  `<symbol id="phone" viewBox="0 0 16 16"><rect x="4.5" y="1.7" width="7" height="12.6" rx="1.6"/><path d="M7.2 12.1h1.6"/></symbol>`,
	"plus":   `<symbol id="plus" viewBox="0 0 16 16"><path d="M8 3v10M3 8h10"/></symbol>`,
	"point":  `<symbol id="point" viewBox="0 0 16 16"><path d="M8 8h.01" stroke-width="3.5"/></symbol>`,
	"pulse":  `<symbol id="pulse" viewBox="0 0 16 16"><path d="M1.5 8.5h2.8l2-5.2 3.2 9.4 1.9-4.2h3.1"/></symbol>`,
	"safe": `<symbol id="safe" viewBox="0 0 16 16"><path d="M8 1.8l5.2 1.9v3.9c0 3.2-2.1 5.5-5.2 6.7-3.1-1.2-5.2-3.5-5.2-6.7V3.7zM5.6 7.9l1.8 1.8 ` +
		`3.1-3.3"/></symbol>`,
	"shield": `<symbol id="shield" viewBox="0 0 16 16"><path d="M8 1.8l5.2 1.9v3.9c0 3.2-2.1 5.5-5.2 6.7-3.1-1.2-5.2-3.5-5.2-6.7V3.7z"/></symbol>`,
	"sliders": `<symbol id="sliders" viewBox="0 0 16 16"><path d="M2 5h6.4M12 5h2M2 11h2M7.6 11H14"/><circle cx="10.2" cy="5" r="1.7"/><circle cx="5.8" ` +
		`cy="11" r="1.7"/></symbol>`,
	"stop": `<symbol id="stop" viewBox="0 0 16 16"><circle cx="8" cy="8" r="6.2"/><path d="M8 4.8v3.8M8 11v.1"/></symbol>`,
	"store": `<symbol id="store" viewBox="0 0 16 16"><ellipse cx="8" cy="3.9" rx="5.2" ry="2"/><path d="M2.8 3.9v8.2c0 1.1 2.3 2 5.2 2s5.2-.9 ` +
		`5.2-2V3.9M2.8 8c0 1.1 2.3 2 5.2 2s5.2-.9 5.2-2"/></symbol>`,
	"term": `<symbol id="term" viewBox="0 0 16 16"><rect x="1.8" y="2.8" width="12.4" height="10.4" rx="1.5"/><path d="M4.6 6l2.2 2-2.2 2M8.4 ` +
		`10.2h3"/></symbol>`,
	"unlock": `<symbol id="unlock" viewBox="0 0 16 16"><rect x="3" y="7" width="10" height="6.8" rx="1.5"/><path d="M5.2 7V4.6a2.8 2.8 0 0 1 ` +
		`5.3-1.1"/></symbol>`,
	"user": `<symbol id="user" viewBox="0 0 16 16"><circle cx="8" cy="5.1" r="2.8"/><path d="M2.6 14c.3-3 2.4-4.7 5.4-4.7s5.1 1.7 5.4 4.7"/></symbol>`,
	"users": `<symbol id="users" viewBox="0 0 16 16"><circle cx="6" cy="5.4" r="2.5"/><path d="M1.4 13.3c.3-2.6 2-4.2 4.6-4.2s4.3 1.6 4.6 4.2M10.4 ` +
		`3.2a2.5 2.5 0 0 1 0 4.4M12.3 9.5c1.4.6 2.2 1.9 2.4 3.8"/></symbol>`,
	"view": `<symbol id="view" viewBox="0 0 16 16"><rect x="2.2" y="2.2" width="4.8" height="4.8" rx="1"/><rect x="9" y="2.2" width="4.8" height="4.8" ` +
		`rx="1"/><rect x="2.2" y="9" width="4.8" height="4.8" rx="1"/><rect x="9" y="9" width="4.8" height="4.8" rx="1"/></symbol>`,
	"warn": `<symbol id="warn" viewBox="0 0 16 16"><path d="M8 2.4l6.2 11H1.8zM8 6.4v3.1M8 11.4v.1"/></symbol>`,
}
