package action

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// maxProgressLines bounds what one wait tells: whoever writes checks decides how
// often they change.
const maxProgressLines = 500

// tell prints what is new about a check, a line each: its phase, and how many of a
// service's pods are ready.
func (w *waiting) tell(c Check) {
	news := append([]string{c.Status + ": " + strings.ReplaceAll(c.Title, "\n", " ")}, services(c.Summary)...)
	for _, line := range news {
		if slices.Contains(w.progress, line) || len(w.progress) >= maxProgressLines {
			continue
		}
		w.progress = append(w.progress, line)
		w.a.infof("%7.1f s  %s", w.a.Now().Sub(w.start).Round(100*time.Millisecond).Seconds(), line)
	}
}

// services reads the table of services in a summary: "web: 1 of 2 ready".
func services(summary string) []string {
	var lines, header []string
	for line := range strings.Lines(summary) {
		cells := row(line)
		switch {
		case len(cells) == 0:
			header = nil
		case header == nil && cells[0] == "service":
			header = cells
		case header == nil, strings.Trim(cells[0], "-:") == "", len(cells) != len(header):
		default:
			ready, desired := slices.Index(header, "ready"), slices.Index(header, "desired")
			if ready < 0 {
				continue
			}
			text := cells[ready]
			if desired >= 0 {
				text += " of " + cells[desired]
			}
			lines = append(lines, fmt.Sprintf("%s: %s ready", cells[0], text))
		}
	}
	return lines
}

// row takes a line of a Markdown table apart; nothing if it is none.
func row(line string) []string {
	line = strings.TrimSpace(line)
	if !strings.HasPrefix(line, "|") || !strings.HasSuffix(line, "|") || len(line) < 3 {
		return nil
	}
	cells := strings.Split(line[1:len(line)-1], "|")
	for i, cell := range cells {
		cells[i] = strings.Trim(strings.TrimSpace(cell), "`*")
	}
	return cells
}

// notice shows text once, as GitHub shows notices.
func (a *Action) notice(text string) {
	if slices.Contains(a.noticed, text) {
		return
	}
	a.noticed = append(a.noticed, text)
	a.github().Noticef("%s", text)
}
