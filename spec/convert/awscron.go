package convert

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// fiveFields returns what AWS calls a schedule, rate(…) or cron(…), as the five
// fields of cron; or the reason why they cannot say it.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html
func fiveFields(expression string) (cron, reason string) {
	expression = strings.TrimSpace(expression)
	if parts := regexp.MustCompile(`^rate\(\s*([0-9]{1,6})\s+(minute|hour|day)s?\s*\)$`).FindStringSubmatch(expression); parts != nil {
		every, _ := strconv.Atoi(parts[1]) // six digits at most
		return rate(every, parts[2])
	}
	if inner, ok := strings.CutPrefix(expression, "cron("); ok && strings.HasSuffix(inner, ")") {
		return sixFields(strings.Fields(strings.TrimSuffix(inner, ")")))
	}
	if strings.HasPrefix(expression, "at(") {
		return "", "runs once, at one time; cron only repeats"
	}
	return "", "want rate(…) or cron(…)"
}

// rate returns the schedule of something that runs every so often. AWS counts
// from the deploy, cron from the full hour and from midnight, so only divisors
// of those repeat evenly.
func rate(every int, unit string) (cron, reason string) {
	minutes := every * map[string]int{"minute": 1, "hour": 60, "day": 24 * 60}[unit]
	const hour, day = 60, 24 * 60
	switch {
	case minutes == 0:
		return "", "want a rate above 0"
	case minutes == 1:
		return "* * * * *", ""
	case minutes < hour && hour%minutes == 0:
		return fmt.Sprintf("*/%d * * * *", minutes), ""
	case minutes == hour:
		return "0 * * * *", ""
	case minutes < day && minutes%hour == 0 && day%minutes == 0:
		return fmt.Sprintf("0 */%d * * *", minutes/hour), ""
	case minutes == day:
		return "0 0 * * *", ""
	case minutes == 7*day:
		return "0 0 * * 0", ""
	}
	return "", "five fields of cron cannot repeat evenly at this rate"
}

// field is one of the fields of a schedule.
type field struct {
	low, high int
	names     []string // of low and what follows
	shift     int      // from AWS's number to cron's
}

// sixFields returns the first five of AWS's fields as those of cron; the sixth
// is the year.
func sixFields(words []string) (cron, reason string) {
	if len(words) != 6 {
		return "", fmt.Sprintf("want six fields, got %d", len(words))
	}
	if words[5] != "*" && words[5] != "?" {
		return "", "is limited to some years, which five fields of cron cannot say"
	}
	fields := []field{
		{low: 0, high: 59},
		{low: 0, high: 23},
		{low: 1, high: 31},
		{low: 1, high: 12, names: []string{"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}},
		// AWS counts the days from SUN=1, cron from SUN=0.
		{low: 1, high: 7, names: []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}, shift: -1},
	}
	five := make([]string, len(fields))
	for i, f := range fields {
		if five[i], reason = f.read(words[i]); reason != "" {
			return "", reason
		}
	}
	if five[2] != "*" && five[4] != "*" {
		return "", "limits both the day of the month and the day of the week, which AWS refuses and cron reads as either"
	}
	return strings.Join(five, " "), ""
}

// read returns a field as cron has it.
func (f field) read(text string) (cron, reason string) {
	if text == "?" || text == "*" {
		return "*", ""
	}
	var parts []string
	for part := range strings.SplitSeq(strings.ToUpper(text), ",") {
		read, reason := f.part(part)
		if reason != "" {
			return "", reason
		}
		parts = append(parts, read)
	}
	return strings.Join(parts, ","), ""
}

// part returns one of the parts between commas.
func (f field) part(text string) (cron, reason string) {
	shape := regexp.MustCompile(`^(?:\*|([A-Z]{3}|[0-9]{1,2})(?:-([A-Z]{3}|[0-9]{1,2}))?)(?:/([0-9]{1,2}))?$`)
	parts := shape.FindStringSubmatch(text)
	if parts == nil {
		return "", fmt.Sprintf("five fields of cron cannot say %s (the last day, the nearest weekday, the nth weekday)", text)
	}
	first, last, step := f.low, f.high, 1
	var known bool
	if parts[1] != "" {
		if first, known = f.number(parts[1]); !known {
			return "", fmt.Sprintf("want %d to %d, got %s", f.low, f.high, parts[1])
		}
		if parts[3] == "" {
			last = first // "5", but "5/10" goes on to the end
		}
	}
	if parts[2] != "" {
		if last, known = f.number(parts[2]); !known {
			return "", fmt.Sprintf("want %d to %d, got %s", f.low, f.high, parts[2])
		}
	}
	if parts[3] != "" {
		if step, _ = strconv.Atoi(parts[3]); step == 0 {
			return "", "want a step above 0"
		}
	}
	return f.write(first, last, step), ""
}

// number returns the number of a value or of its name.
func (f field) number(text string) (number int, ok bool) {
	if i := slices.Index(f.names, text); i >= 0 {
		return f.low + i, true
	}
	number, err := strconv.Atoi(text)
	return number, err == nil && number >= f.low && number <= f.high
}

// write returns a range as cron has it: one that goes over the end becomes a
// list.
func (f field) write(first, last, step int) string {
	suffix := ""
	if step > 1 {
		suffix = "/" + strconv.Itoa(step)
	}
	switch {
	case first == last:
		return strconv.Itoa(first + f.shift)
	case first == f.low && last == f.high:
		return "*" + suffix
	case first < last:
		return fmt.Sprintf("%d-%d%s", first+f.shift, last+f.shift, suffix)
	}
	var all []string
	count := f.high - f.low + 1
	for i := 0; i <= last-first+count; i += step {
		all = append(all, strconv.Itoa((first-f.low+i)%count+f.low+f.shift))
	}
	return strings.Join(all, ",")
}
