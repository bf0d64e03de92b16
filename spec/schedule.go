package spec

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// The bounds of a job.
const (
	maxDeadline = 7 * 24 * time.Hour
	maxRetries  = 10
	maxHistory  = 100
)

// JobSettings is what a file says of when a job runs, and how. Nil and empty
// mean: not said.
type JobSettings struct {
	Cron     string
	Timezone string
	Overlap  Overlap
	Deadline string
	Retries  *int
	History  *int
}

func jobKeys() []key[JobSettings] {
	const nightly = "type: job\nschedule: \"0 3 * * *\"\n"
	return []key[JobSettings]{
		to("schedule", cronValue(), func(j *JobSettings) *string { return &j.Cron }).of(Job).
			says("When it runs. Without one it runs only when somebody asks.", "", "type: job\nschedule: \"0 3 * * *\""),
		to("timezone", timezone(), func(j *JobSettings) *string { return &j.Timezone }).of(Job).
			says("Time zone of the schedule, by its IANA name.", "UTC", nightly+"timezone: Europe/Rome"),
		to("overlap", oneOf(Forbid, Allow, Replace), func(j *JobSettings) *Overlap { return &j.Overlap }).of(Job).
			says("What happens when it is due and its last run goes on: the due run is left out, both run, or the old one is ended.", string(Forbid), nightly+"overlap: replace"),
		to("deadline", durationUpTo(maxDeadline), func(j *JobSettings) *string { return &j.Deadline }).of(Job).
			says("How long one run may take, retries and all.", shortDuration(DefaultDeadline), "type: job\ndeadline: 20m"),
		to("retries", whole(0, maxRetries), func(j *JobSettings) **int { return &j.Retries }).of(Job).
			says("How often a failed run is started again.", "0", "type: job\nretries: 2"),
		to("history", whole(1, maxHistory), func(j *JobSettings) **int { return &j.History }).of(Job).
			says("How many ended runs are kept, of the good and of the failed ones.", fmt.Sprint(DefaultHistory), "type: job\nhistory: 10"),
	}
}

func (j JobSettings) with(over JobSettings) JobSettings {
	return JobSettings{
		Cron: said(j.Cron, over.Cron), Timezone: said(j.Timezone, over.Timezone), Overlap: said(j.Overlap, over.Overlap),
		Deadline: said(j.Deadline, over.Deadline), Retries: said(j.Retries, over.Retries), History: said(j.History, over.History),
	}
}

// schedule returns the schedule without what counts anyway.
func (j JobSettings) schedule() Schedule {
	s := Schedule{
		Cron: j.Cron, Timezone: j.Timezone, Overlap: j.Overlap,
		Deadline: unlessDefault(j.Deadline, DefaultDeadline), Retries: number(j.Retries, 0), History: number(j.History, 0),
	}
	if s.Timezone == "UTC" {
		s.Timezone = ""
	}
	if s.Overlap == Forbid {
		s.Overlap = ""
	}
	if s.History == DefaultHistory {
		s.History = 0
	}
	return s
}

func (j JobSettings) problems() []problem {
	if j.Cron != "" {
		return nil
	}
	var all []problem
	if j.Timezone != "" {
		all = append(all, problem{"timezone: says nothing without a schedule", []string{"timezone"}, "schedule"})
	}
	if j.Overlap != "" {
		all = append(all, problem{"overlap: says nothing without a schedule", []string{"overlap"}, "schedule"})
	}
	return all
}

// number returns *n, or fallback if it is not said.
func number(n *int, fallback int) int {
	if n == nil {
		return fallback
	}
	return *n
}

// cronWords are the short forms of a schedule, and what they mean: the ones that
// Kubernetes takes, but for @every, which has no fixed times.
func cronWords() map[string]string {
	return map[string]string{
		"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
		"@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
	}
}

func cronValue() value[string] {
	return textIn("five fields of cron, or @hourly, @daily, @weekly, @monthly, @yearly",
		`^\s*(@(hourly|daily|midnight|weekly|monthly|yearly|annually)|[^\s@=]+(\s+[^\s=]+){4})\s*$`, parseCron)
}

// parseCron returns a schedule in five fields. What it takes the CronJob
// controller takes, whose parser this is.
func parseCron(text string) (string, error) {
	const form = `want five fields such as "0 3 * * *", or @daily`
	words := cronWords()
	fields := strings.Fields(text)
	switch {
	case strings.Contains(text, "TZ="):
		return "", fmt.Errorf("%s: a time zone is said by the key timezone", form)
	case strings.HasPrefix(text, "@every"):
		return "", fmt.Errorf(`%s, got %s, which has no fixed times: say "*/15 * * * *" for every 15 minutes`, form, quoted(text))
	case strings.HasPrefix(text, "@"):
		if five, ok := words[text]; ok {
			return five, nil
		}
		return "", fmt.Errorf("%s, got %s%s", form, quoted(text), didYouMean(text, sortedKeys(words)))
	case len(fields) == 6:
		return "", fmt.Errorf("%s, got 6 fields: there are no seconds", form)
	case len(fields) != 5:
		return "", fmt.Errorf("%s, got %s", form, quoted(text))
	}
	for i, field := range [...]struct{ name, bounds string }{
		{"minute", "0 to 59"},
		{"hour", "0 to 23"},
		{"day of the month", "1 to 31"},
		{"month", "1 to 12 or JAN to DEC"},
		{"day of the week", "0 (Sunday) to 6 or SUN to SAT"},
	} {
		alone := []string{"*", "*", "*", "*", "*"}
		alone[i] = fields[i]
		if _, err := cron.ParseStandard(strings.Join(alone, " ")); err != nil {
			return "", fmt.Errorf("got %s as %s: want %s, *, ranges (1-5), lists (1,5) or steps (*/15)", quoted(fields[i]), field.name, field.bounds)
		}
	}
	five := strings.Join(fields, " ")
	when, err := cron.ParseStandard(five)
	if err != nil {
		return "", err
	}
	// A leap year's first day; the parser gives up after five years.
	if when.Next(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return "", fmt.Errorf("%s never comes", quoted(text))
	}
	return five, nil
}

// zones are the names of the IANA time zones, a line each. A file has to mean
// the same on every machine, whether it has a time zone database or not.
//
//go:embed zones.txt
var zones string

func timezone() value[string] {
	return textIn("IANA time zone", `^[A-Za-z][A-Za-z0-9_+/-]*$`, func(text string) (string, error) {
		known := strings.Fields(zones)
		if !slices.Contains(known, text) {
			return "", fmt.Errorf("want an IANA time zone such as Europe/Rome, got %s%s", quoted(text), didYouMean(text, known))
		}
		return text, nil
	})
}
