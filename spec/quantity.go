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

// unit is a suffix of a quantity and its size in the smallest unit.
type unit struct {
	suffix string
	size   int64
}

// https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
func cpuUnits() []unit {
	return []unit{{"", 1000}, {"m", 1}}
}

func memoryUnits() []unit {
	return []unit{{"Ti", 1 << 40}, {"Gi", 1 << 30}, {"Mi", 1 << 20}, {"Ki", 1 << 10}, {"T", 1e12}, {"G", 1e9}, {"M", 1e6}, {"k", 1e3}, {"", 1}}
}

// cpu is a value of a quantity of CPU.
func cpu() value[string] {
	return quantity(`number of CPUs, or text such as "250m"`, `^[0-9]{1,12}(\.[0-9]{1,3})?m?$`, parseCPU)
}

// memory is a value of a quantity of bytes.
func memory() value[string] {
	return quantity("quantity such as 512Mi or 1Gi", `^[0-9]{1,12}(\.[0-9]{1,3})?([KMGT]i|[kMGT])?$`, parseMemory)
}

// quantity is a value of what parse takes, written as a number or text.
func quantity(words, pattern string, parse func(string) (string, error)) value[string] {
	return value[string]{
		shape: shape{words: words, schema: func(*schema) object {
			return object{"anyOf": []object{{"type": "string", "pattern": pattern}, {"type": "number", "exclusiveMinimum": 0}}}
		}},
		parse: func(p *parser, e entry) string {
			n, ok := p.scalar(e, "a quantity")
			if !ok {
				return ""
			}
			q, err := parse(n.Value)
			if err != nil {
				p.fail(e.value, "%s: %v", e.key.Value, err)
			}
			return q
		},
	}
}

// parseCPU returns text as a Kubernetes quantity of CPU in its shortest
// spelling: "0.5" becomes "500m".
func parseCPU(text string) (string, error) {
	milli, err := parseQuantity(text, cpuUnits())
	switch {
	case err != nil:
		return "", fmt.Errorf(`want CPUs such as 0.5, 2 or "250m", got %s`, quoted(text))
	case milli < minMilliCPU || milli > maxMilliCPU:
		return "", fmt.Errorf("want 1m to %d CPUs, got %s", maxMilliCPU/1000, quoted(text))
	}
	return spelled(milli, cpuUnits()), nil
}

// parseMemory returns text as a Kubernetes quantity of bytes in its shortest
// spelling: "1.5Gi" becomes "1536Mi".
func parseMemory(text string) (string, error) {
	bytes, err := parseQuantity(text, memoryUnits())
	switch {
	case err != nil:
		return "", fmt.Errorf("want memory such as 256Mi or 1Gi, got %s", quoted(text))
	case bytes < minMemoryBytes && text == strconv.FormatInt(bytes, 10):
		return "", fmt.Errorf("want 4Mi to 4Ti, got %s bytes (did you mean %sMi?)", text, text)
	case bytes < minMemoryBytes || bytes > maxMemoryBytes:
		return "", fmt.Errorf("want 4Mi to 4Ti, got %s", quoted(text))
	}
	return spelled(bytes, memoryUnits()), nil
}

// errQuantity says only that; the callers know what they wanted.
var errQuantity = errors.New("not a quantity")

// parseQuantity returns the value of text in the smallest unit.
func parseQuantity(text string, units []unit) (int64, error) {
	digits := strings.IndexFunc(text, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	if digits < 0 {
		digits = len(text)
	}
	whole, fraction, hasFraction := strings.Cut(text[:digits], ".")
	if whole == "" || len(whole) > 12 || len(fraction) > 3 || hasFraction && fraction == "" {
		return 0, errQuantity
	}
	thousandths, err := strconv.ParseInt(whole+(fraction + "000")[:3], 10, 64)
	if err != nil {
		return 0, errQuantity
	}
	for _, u := range units {
		if u.suffix != text[digits:] {
			continue
		}
		// 12 digits of the largest unit would not fit; the bounds are far below.
		if thousandths > (1<<62)/u.size || thousandths*u.size%1000 != 0 {
			return 0, errQuantity
		}
		return thousandths * u.size / 1000, nil
	}
	return 0, errQuantity
}

// spelled returns n of the smallest unit with as few digits as possible and no
// fraction. Of two such spellings the unit that comes first in units wins.
func spelled(n int64, units []unit) string {
	digits, suffix := "", ""
	for _, u := range units {
		if text := strconv.FormatInt(n/u.size, 10); n%u.size == 0 && (digits == "" || len(text) < len(digits)) {
			digits, suffix = text, u.suffix
		}
	}
	return digits + suffix
}
