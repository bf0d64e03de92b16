// Package metrics tells a Prometheus how the agent is doing, in its text format.
//
// Start with New. What is counted comes in through agent.Meter, agent.Pulse and github.Meter; Set.Write writes it out,
// together with what is read off the releases at that moment. Promises: what is counted was made durable by this
// process, and is counted once; no label's values come from a stranger; the number of series is bounded.
//
// https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
package metrics

import (
	"bufio"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxSeries bounds the label sets of one family; what comes later is counted under "other" in every label.
const maxSeries = 500

const other = "other"

// family is one metric: its series by their labels' values. The zero value of buckets is a counter.
type family struct {
	name, help string
	labels     []string
	buckets    []float64 // upper bounds in seconds; nil for a counter
	series     map[string]*series
}

type series struct {
	values []string
	sum    float64
	counts []uint64 // by bucket, not added up; the last is that without a bound
}

func newFamily(name, help string, buckets []float64, labels ...string) *family {
	return &family{name: name, help: help, labels: labels, buckets: buckets, series: map[string]*series{}}
}

// of is the series of these values, one for each label.
func (f *family) of(values []string) *series {
	key := strings.Join(values, "\xff")
	s := f.series[key]
	if s == nil && len(f.series) >= maxSeries {
		values = slices.Repeat([]string{other}, len(values))
		key = strings.Join(values, "\xff")
		s = f.series[key]
	}
	if s == nil {
		s = &series{values: values, counts: make([]uint64, len(f.buckets)+1)}
		f.series[key] = s
	}
	return s
}

// add counts n.
func (f *family) add(n float64, values ...string) { f.of(values).sum += n }

// observe puts a duration into its bucket. Clocks of two machines may disagree: less than nothing is nothing.
func (f *family) observe(d time.Duration, values ...string) {
	seconds := max(d.Seconds(), 0)
	s := f.of(values)
	s.sum += seconds
	i, _ := slices.BinarySearch(f.buckets, seconds)
	s.counts[i]++
}

// write writes the family in a stable order. A writer that fails keeps its error.
func (f *family) write(w *bufio.Writer) {
	kind := "counter"
	if f.buckets != nil {
		kind = "histogram"
	}
	header(w, f.name, f.help, kind)
	for _, key := range slices.Sorted(maps.Keys(f.series)) {
		s := f.series[key]
		if f.buckets == nil {
			line(w, f.name, f.labels, s.values, s.sum)
			continue
		}
		var total uint64
		for i, n := range s.counts {
			total += n
			bound := "+Inf"
			if i < len(f.buckets) {
				bound = strconv.FormatFloat(f.buckets[i], 'g', -1, 64)
			}
			line(w, f.name+"_bucket", append(slices.Clone(f.labels), "le"), append(slices.Clone(s.values), bound), float64(total))
		}
		line(w, f.name+"_sum", f.labels, s.values, s.sum)
		line(w, f.name+"_count", f.labels, s.values, float64(total))
	}
}

// gauge writes what is so at this moment.
func gauge(w *bufio.Writer, name, help string, value float64) {
	header(w, name, help, "gauge")
	line(w, name, nil, nil, value)
}

func header(w *bufio.Writer, name, help, kind string) {
	for _, s := range []string{"# HELP ", name, " ", help, "\n# TYPE ", name, " ", kind, "\n"} {
		_, _ = w.WriteString(s) // because Flush tells
	}
}

func line(w *bufio.Writer, name string, labels, values []string, value float64) {
	_, _ = w.WriteString(name)
	for i, label := range labels {
		_, _ = w.WriteString([]string{"{", ","}[min(i, 1)] + label + `="` + escaped(values[i]) + `"`)
	}
	_, _ = w.WriteString([]string{"", "}"}[min(len(labels), 1)] + " " + strconv.FormatFloat(value, 'g', -1, 64) + "\n")
}

// escaped is a label's value between its quotes.
func escaped(value string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(strings.ToValidUTF8(value, "\uFFFD"))
}
