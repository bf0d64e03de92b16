package spec

import (
	"strings"
	"time"
)

// minDuration is the shortest duration that a file may say.
const minDuration = time.Second

// durationUpTo is a value of a Go duration within bounds. It has one spelling,
// so that 60s and 1m are one intent.
func durationUpTo(most time.Duration) value[string] {
	bounds := shortDuration(minDuration) + " to " + shortDuration(most)
	return value[string]{
		shape: shape{words: "duration from " + bounds, schema: func(*schema) object {
			return object{"type": "string", "pattern": `^([0-9]+(\.[0-9]*)?(ms|s|m|h))+$`}
		}},
		parse: func(p *parser, e entry) string {
			n, ok := p.scalar(e, "a duration")
			if !ok {
				return ""
			}
			switch d, err := time.ParseDuration(n.Value); {
			case err != nil:
				p.fail(e.value, "%s: want a duration such as 90s or 2m, got %s", e.key.Value, quoted(n.Value))
			case d < minDuration || d > most:
				p.fail(e.value, "%s: want %s, got %s", e.key.Value, bounds, quoted(n.Value))
			default:
				return d.String()
			}
			return ""
		},
	}
}

// shortDuration returns d without the zeros that String has at its end: "2h".
func shortDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// unlessDefault returns text, or nothing if it says what counts anyway.
func unlessDefault(text string, fallback time.Duration) string {
	if d, err := time.ParseDuration(text); err == nil && d == fallback {
		return ""
	}
	return text
}
