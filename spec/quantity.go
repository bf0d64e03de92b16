package spec

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The bounds of what a service may ask for. They refuse slips such as a missing
// unit, not ambition.
const (
	minMilliCPU    = 1
	maxMilliCPU    = 256 * 1000
	minMemoryBytes = 4 << 20 // the least that a container runtime starts anything with
	maxMemoryBytes = 4 << 40
)

// unit is a suffix of a quantity, its size in the smallest unit, and the next
// smaller suffix with which a fraction is written whole.
type unit struct {
	suffix  string
	size    int64
	smaller string
	factor  int64 // how many of smaller make one
}

// https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
func cpuUnits() []unit {
	return []unit{{"", 1000, "m", 1000}, {"m", 1, "", 0}}
}

func memoryUnits() []unit {
	return []unit{
		{"", 1, "", 0},
		{"Ki", 1 << 10, "", 1 << 10},
		{"Mi", 1 << 20, "Ki", 1 << 10},
		{"Gi", 1 << 30, "Mi", 1 << 10},
		{"Ti", 1 << 40, "Gi", 1 << 10},
		{"k", 1e3, "", 1e3},
		{"M", 1e6, "k", 1e3},
		{"G", 1e9, "M", 1e3},
		{"T", 1e12, "G", 1e3},
	}
}

// parseCPU returns text as a Kubernetes quantity of CPU without a fraction:
// "0.5" becomes "500m".
func parseCPU(text string) (string, error) {
	quantity, milli, err := parseQuantity(text, cpuUnits())
	switch {
	case err != nil:
		return "", fmt.Errorf(`want CPUs such as 0.5, 2 or "250m", got %s`, quoted(text))
	case milli < minMilliCPU || milli > maxMilliCPU:
		return "", fmt.Errorf("want 1m to %d CPUs, got %s", maxMilliCPU/1000, quoted(text))
	}
	return quantity, nil
}

// parseMemory returns text as a Kubernetes quantity of bytes without a
// fraction: "1.5Gi" becomes "1536Mi".
func parseMemory(text string) (string, error) {
	quantity, bytes, err := parseQuantity(text, memoryUnits())
	switch {
	case err != nil:
		return "", fmt.Errorf("want memory such as 256Mi or 1Gi, got %s", quoted(text))
	case bytes < minMemoryBytes && text == strconv.FormatInt(bytes, 10):
		return "", fmt.Errorf("want 4Mi to 4Ti, got %s bytes (did you mean %sMi?)", text, text)
	case bytes < minMemoryBytes || bytes > maxMemoryBytes:
		return "", fmt.Errorf("want 4Mi to 4Ti, got %s", quoted(text))
	}
	return quantity, nil
}

// errQuantity says only that; the callers know what they wanted.
var errQuantity = errors.New("not a quantity")

// parseQuantity returns text written without a fraction, and its value in the
// smallest unit.
func parseQuantity(text string, units []unit) (string, int64, error) {
	digits := strings.IndexFunc(text, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	if digits < 0 {
		digits = len(text)
	}
	whole, fraction, hasFraction := strings.Cut(text[:digits], ".")
	if whole == "" || len(whole) > 12 || len(fraction) > 3 || hasFraction && fraction == "" {
		return "", 0, errQuantity
	}
	// 12 digits of the largest unit would not fit; the bounds are far below.
	thousandths, err := strconv.ParseInt(whole+(fraction + "000")[:3], 10, 64)
	if err != nil {
		return "", 0, errQuantity
	}
	for _, u := range units {
		if u.suffix != text[digits:] {
			continue
		}
		if thousandths > (1<<62)/u.size {
			return "", 0, errQuantity
		}
		if thousandths%1000 == 0 {
			return strconv.FormatInt(thousandths/1000, 10) + u.suffix, thousandths / 1000 * u.size, nil
		}
		if u.factor == 0 || thousandths*u.factor%1000 != 0 {
			return "", 0, errQuantity
		}
		return strconv.FormatInt(thousandths*u.factor/1000, 10) + u.smaller, thousandths * u.factor / 1000 * (u.size / u.factor), nil
	}
	return "", 0, errQuantity
}
