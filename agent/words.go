package agent

import (
	"fmt"
	"strings"
	"time"
)

// The units of a time that people read.
const (
	day = 24 * time.Hour

	precise = 10 * time.Second // below, a tenth of a second tells
)

// took is how long something took, as people say it: "54 ms", "1.2 s", "14 s",
// "2 min 5 s".
func took(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Second:
		d = d.Round(time.Millisecond)
	case d < precise:
		d = d.Round(time.Second / 10)
	case d < time.Hour:
		d = d.Round(time.Second)
	case d < day:
		d = d.Round(time.Minute)
	default:
		d = d.Round(time.Hour)
	}
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute && d%time.Second != 0:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return two(d, time.Minute, "min", time.Second, "s")
	case d < day:
		return two(d, time.Hour, "h", time.Minute, "min")
	}
	return two(d, day, "d", time.Hour, "h")
}

// two is d in two units, the smaller one left out where it is 0.
func two(d, large time.Duration, big string, small time.Duration, little string) string {
	text := fmt.Sprintf("%d %s", d/large, big)
	if rest := d % large / small; rest > 0 {
		text += fmt.Sprintf(" %d %s", rest, little)
	}
	return text
}

// count is "1 service", "2 services".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// digestLength is how much of an image's digest is shown, in hex digits: as much
// as Docker shows.
const digestLength = 12

// shortDigest is the beginning of the digest of an image, repository@sha256:…
func shortDigest(image string) string {
	hex := image[strings.LastIndexByte(image, ':')+1:]
	return hex[:min(len(hex), digestLength)]
}
