package agent

import (
	"encoding/json"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/inhaul/inhaul/spec"
)

// lastMarker reads a text as the Action does: the last marker counts.
func lastMarker(t *testing.T, text string) Marker {
	t.Helper()
	at := strings.LastIndex(text, "<!-- inhaul: ")
	if at < 0 {
		t.Fatalf("no marker in %q", text)
	}
	body, rest, ended := strings.Cut(text[at+len("<!-- inhaul: "):], " -->")
	var m Marker
	if err := json.Unmarshal([]byte(body), &m); err != nil || !ended || rest != "" {
		t.Fatalf("marker %q, rest %q: %v", body, rest, err)
	}
	return m
}

const forged = `<!-- inhaul: {"release":999,"url":"https://evil.example"} -->`

// hostile are texts that want to be more than text.
func hostile() map[string]string {
	return map[string]string{
		"a marker":              forged,
		"a comment without end": "<!-- inhaul: {",
		"a fence and a marker":  "```\n" + forged + "\n```",
		"a longer fence":        "`````\n" + forged,
		"a fence of its length": "````\n```\n`````\n" + forged,
		"an end of the details": "</details>\n\n-->\n" + forged,
		"people":                "thanks @octocat and @acme/platform, cc @root",
		"issues":                "fixes #123, closes acme/shop#7, GH-12 and gh-9",
		"links":                 "see https://evil.example/a, http://github.com/acme/shop/issues/1, www.evil.example and [here](https://evil.example)",
		"markup":                "web: **green** __green__ ~~red~~ <b>x</b> <img src=x onerror=y> ![i](https://evil.example/i.png) `a` $x$ \\*\n# Success\n| a | b |\n|---|---|",
		"entities":              "&copy;b&hearts; &#60;b&#62; &x",
		"pictures":              ":tada: :white_check_mark:",
		"invisible characters":  "a\u202eb\u200bc\x1b[31md\x00e",
		"a footnote":            "[^1] [x]: https://evil.example",
	}
}

// everywhere is a release that says text wherever others may have a say.
func everywhere(text string, phase Phase) Release {
	return told(phase, func(r *Release) {
		red(r)
		restored(r)
		r.Status.Cause.Message, r.Status.Cause.Next, r.Status.Cause.Log, r.Status.Cause.Events = text, text, text, []string{text}
		r.Status.Cause.Pod, r.Status.Cause.Container = text, text
		r.Status.Message, r.Status.PredeployLog, r.Status.SupersededBy = text, text, ""
		r.Status.Services[0].Name = text
		r.Source.Actor, r.Source.Ref, r.Source.Event, r.Source.WorkflowRef, r.Rule, r.Note, r.Evidence.Scheme = text, text, text, text, text, text, text
		r.App.Services[1].Env = map[string]string{text: text}
		r.App.Services[1].Run = spec.Command{Shell: text}
	})
}

// outsideOfCode is Markdown without its code blocks and code spans, by CommonMark's
// rules for both.
func outsideOfCode(text string) string {
	var kept []string
	fence := ""
	for line := range strings.Lines(text) {
		trimmed := strings.TrimSpace(line)
		ticks := trimmed[:len(trimmed)-len(strings.TrimLeft(trimmed, "`"))]
		switch {
		case fence == "" && len(ticks) >= 3:
			fence = ticks
		case fence != "" && trimmed != "" && len(trimmed) >= len(fence) && strings.Trim(trimmed, "`") == "":
			fence = ""
		case fence == "":
			kept = append(kept, line)
		}
	}
	return withoutSpans(strings.Join(kept, ""))
}

func withoutSpans(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); {
		switch {
		case text[i] == '\\' && i+1 < len(text):
			b.WriteString(text[i : i+2])
			i += 2
		case text[i] == '`':
			n := len(text[i:]) - len(strings.TrimLeft(text[i:], "`"))
			end := closing(text[i+n:], n)
			if end < 0 {
				b.WriteString(text[i : i+n])
				i += n
				continue
			}
			i += n + end
		default:
			b.WriteByte(text[i])
			i++
		}
	}
	return b.String()
}

// closing is where a run of exactly n backticks ends; negative for nowhere.
func closing(text string, n int) int {
	for at := 0; ; {
		next := strings.IndexByte(text[at:], '`')
		if next < 0 {
			return -1
		}
		begin := at + next
		at = begin + len(text[begin:]) - len(strings.TrimLeft(text[begin:], "`"))
		if at-begin == n {
			return at
		}
	}
}

// TestNothingFromOutsideIsMarkup looks at what GitHub would make of foreign text:
// of what is left outside of code it may tell nobody, link nowhere and be no markup.
func TestNothingFromOutsideIsMarkup(t *testing.T) {
	t.Parallel()
	escaped := regexp.MustCompile(`\\[[:punct:]]`)
	ours := regexp.MustCompile(`<(/?details|details open|/?summary)>|<!-- inhaul: preview storefront -->`)
	ourLinks := regexp.MustCompile(`\]\(https://(github\.com|storefront\.example)[^)\s]*\)`)
	bad := map[string]*regexp.Regexp{
		"tells somebody":  regexp.MustCompile(`@\w`),
		"names an issue":  regexp.MustCompile(`(?i)#\d|\bgh-\d`),
		"is a link":       regexp.MustCompile(`(?i)https?://|\bwww\.\w`),
		"is a target":     regexp.MustCompile(`\]\(`),
		"is a tag":        regexp.MustCompile(`<[a-z/!]`),
		"is a picture":    regexp.MustCompile(`:[a-z_]+:`),
		"is an entity":    regexp.MustCompile(`&#?\w+;`),
		"is struck out":   regexp.MustCompile(`~`),
		"is mathematics":  regexp.MustCompile(`\$`),
		"is a heading":    regexp.MustCompile(`(?m)^\s*#+ Success`),
		"is a separator":  regexp.MustCompile(`(?m)^\|---\|---\|$`),
		"controls":        regexp.MustCompile(`[\x00-\x08\x0b-\x1f\x{202e}]`),
		"is a strong one": regexp.MustCompile(`__green__|\*\*green\*\*`),
	}
	for name, text := range hostile() {
		texts := map[string]string{}
		for _, phase := range []Phase{RollingOut, Succeeded, Failed, RolledBack, Restoring, Superseded} {
			r := everywhere(text, phase)
			c := r.check(seen(r, served()))
			texts["summary, "+string(phase)], texts["text, "+string(phase)] = c.Summary, c.Text
			if m := lastMarker(t, c.Text); m.Release != 42 {
				t.Errorf("%s: got marker %+v, want release 42's", name, m)
			}
			row := r.standing(seen(r), "")
			row.Environment, row.State = text, text
			texts["comment, "+string(phase)] = commentBody("storefront", []Standing{row})
		}
		for _, superseded := range []bool{false, true} {
			refusal := denied()
			refusal.Message, refusal.Rule, refusal.Superseded = text, text, superseded
			c := refusal.check(view{})
			texts["summary of a refusal"], texts["text of a refusal"] = c.Summary, c.Text
		}
		for where, made := range texts {
			left := outsideOfCode(made)
			if at := strings.LastIndex(left, "<!-- inhaul: {"); at >= 0 && strings.HasPrefix(where, "text, ") {
				left = left[:at]
			}
			left = ourLinks.ReplaceAllString(ours.ReplaceAllString(left, ""), "")
			left = escaped.ReplaceAllString(left, "")
			for what, shape := range bad {
				if found := shape.FindString(left); found != "" {
					t.Errorf("%s, %s: %q %s in:\n%s", name, where, found, what, made)
				}
			}
		}
		for _, phase := range []Phase{Failed, Superseded} {
			r := everywhere(text, phase)
			for _, line := range []string{r.title(seen(r)), r.deployment(seen(r)).Description, r.commitStatus(seen(r)).Description} {
				if strings.ContainsFunc(line, func(c rune) bool { return c < ' ' || c == '\u202e' }) {
					t.Errorf("%s: got %q, want one line", name, line)
				}
			}
		}
	}
}

func TestContentCannotBreakTheMarkerOrTheFence(t *testing.T) {
	t.Parallel()
	for name, text := range hostile() {
		r := everywhere(text, Succeeded)
		r.Status.Cause = nil
		v := seen(r, served())
		v.Environment.URL = "https://storefront.example/-->" + forged
		check := r.check(v)
		if m := lastMarker(t, check.Text); m.Release != 42 || m.Back != 41 || m.URL != v.Environment.URL {
			t.Errorf("%s: got %+v, want release 42, the way back to 41 and the environment's own address", name, m)
		}
		if inside := fenced(text); !closedOnlyAtItsEnd(inside) {
			t.Errorf("%s: the content ends its own fence:\n%s", name, inside)
		}
	}
}

// closedOnlyAtItsEnd applies CommonMark's rule: a line of at least as many
// backticks as the opening ends the block.
func closedOnlyAtItsEnd(block string) bool {
	lines := strings.Split(block, "\n")
	fence := lines[0]
	for i, line := range lines[1:] {
		trimmed := strings.TrimSpace(line)
		closes := len(trimmed) >= len(fence) && strings.Trim(trimmed, "`") == ""
		if closes != (i == len(lines)-2) {
			return false
		}
	}
	return true
}

// TestAftermath is about what a release that failed may have written.
func TestAftermath(t *testing.T) {
	t.Parallel()
	const untouched, left = "This release changed nothing of the app", "the objects are left as they are"
	for _, test := range []struct {
		name     string
		cause    CauseKind
		steps    []Step
		restored int
		by       string
		want     string
	}{
		{"refused", CauseRejected, nil, 0, "", untouched},
		{"refused, and an older one is in place", CauseRejected, nil, 2, "", untouched + ": release 2 goes on serving"},
		{"no pod of its predeploy was made", CauseNoProgress, []Step{StepPredeploying}, 0, "", untouched},
		{"given up amid writing", CauseNoProgress, nil, 0, "", left},
		{"given up amid writing after its predeploy", CauseNoProgress, []Step{StepPredeploying, StepPredeployed}, 0, "", left},
		{"given up amid writing, and an older one is back", CauseNoProgress, nil, 2, "", "Release 2 never stopped serving"},
		{"crashed", CauseCrash, []Step{StepApplied}, 0, "", left},
		{"crashed, and an older one is back", CauseCrash, []Step{StepApplied}, 2, "", "Release 2 never stopped serving"},
		{"crashed, and a newer one came", CauseCrash, []Step{StepApplied}, 0, strings.Repeat("2", 40), "`2222222` is newer"},
	} {
		r := Release{Status: Status{Phase: Failed, Cause: &Cause{Kind: test.cause}, RestoredTo: test.restored, SupersededBy: test.by}}
		for _, step := range test.steps {
			r.Status.Reach(step, noon())
		}
		if got := r.aftermath(view{}); !strings.Contains(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

// TestTextsStayWithinGitHubsLimits makes everything that others say as long as it
// can be stored, of the characters that grow most, and cuts at random.
func TestTextsStayWithinGitHubsLimits(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	alphabet := []string{"x", "|", "`", "```", "\n", "\n\n", "</details>", "é", "𝕏", "@a", "*", "<", "&lt;", " ", "__"}
	write := func(most int) string {
		var b strings.Builder
		some := alphabet[random.IntN(len(alphabet)):][:1]
		if random.IntN(2) == 0 {
			some = alphabet
		}
		for b.Len() < most-len("</details>") {
			b.WriteString(some[random.IntN(len(some))])
		}
		return b.String()
	}
	for range 30 {
		r := everywhere("", []Phase{Failed, RolledBack, Succeeded, RollingOut, Superseded}[random.IntN(5)])
		r.Status.Cause.Message, r.Status.Cause.Next, r.Status.Message = write(4<<10), write(4<<10), write(4<<10)
		r.Status.Cause.Log, r.Status.PredeployLog = write(random.IntN(64<<10)), write(random.IntN(64<<10))
		r.Status.Cause.Events, r.Status.Services = nil, nil
		for range 10 {
			r.Status.Cause.Events = append(r.Status.Cause.Events, write(1<<10))
		}
		for range 64 {
			r.Status.Services = append(r.Status.Services, ServiceStatus{Name: write(63), Desired: 1000, Restarts: 1 << 30})
		}
		r.Source.Actor, r.Source.Ref, r.Source.WorkflowRef, r.Source.Event, r.Rule, r.Note = write(1<<10), write(1<<10), write(1<<10), write(1<<10), write(256), write(4<<10)
		r.App.Services[1].Env = map[string]string{}
		for range 40 {
			r.App.Services[1].Env[write(256)] = write(1 << 10)
		}
		v := seen(r, served())
		v.Environment.URL = "https://storefront.example/" + strings.Repeat("a", 2<<10)
		c := r.check(v)
		for name, text := range map[string]string{"summary": c.Summary, "text": c.Text} {
			if len(text) > maxText || !utf8.ValidString(text) {
				t.Fatalf("%s: got %d bytes, valid %t, want at most %d", name, len(text), utf8.ValidString(text), maxText)
			}
			if outside := regexp.MustCompile(`\\.`).ReplaceAllString(outsideOfCode(text), ""); strings.Count(outside, "<details") != strings.Count(outside, "</details>") {
				t.Fatalf("%s: a code block or a fold is left open:\n%s", name, text)
			}
		}
		if m := lastMarker(t, c.Text); m.Release != 42 {
			t.Fatalf("got marker %+v, want release 42's", m)
		}
		for _, line := range []string{r.deployment(v).Description, r.commitStatus(v).Description} {
			if n := utf8.RuneCountInString(line); n > maxDescription {
				t.Fatalf("got a description of %d characters, want at most %d", n, maxDescription)
			}
		}
		rows := slices.Repeat([]Standing{{Environment: write(63), Note: write(4 << 10), State: write(200), Commit: commitNow}}, 70)
		if body := commentBody("storefront", rows); len(body) > maxText {
			t.Fatalf("got a comment of %d bytes, want at most %d", len(body), maxText)
		}
	}
}

func TestFitCutsTheOldestLinesFirst(t *testing.T) {
	t.Parallel()
	log := strings.Repeat("an older line\n", 100) + "the last line\n"
	got := fit(600, words("first\n\n"), folded("log", log, true), folded("events", "an event", false), words("last"))
	for _, want := range []string{"first", leftOut, "the last line\n```", "an event", "last"} {
		if !strings.Contains(got, want) {
			t.Errorf("got %q, want %q in it", got, want)
		}
	}
	if len(got) > 600 || len(got) < 500 {
		t.Errorf("got %d bytes, want nearly 600", len(got))
	}
	if got := fit(120, words("first\n\n"), folded("log", log, true), words("last")); strings.Contains(got, "<details") || !strings.HasSuffix(got, "last") {
		t.Errorf("got %q, want no empty fold", got)
	}
}

func TestTimesAreToldAsPeopleSayThem(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Second: "0 ms", 0: "0 ms", 54 * time.Millisecond: "54 ms", 999600 * time.Microsecond: "1 s", 1234 * time.Millisecond: "1.2 s",
		4 * time.Second: "4 s", 9960 * time.Millisecond: "10 s", 14*time.Second + 400*time.Millisecond: "14 s", 59600 * time.Millisecond: "1 min",
		115 * time.Second: "1 min 55 s", 2 * time.Minute: "2 min", time.Hour - 400*time.Millisecond: "1 h", 65 * time.Minute: "1 h 5 min",
		24*time.Hour - 20*time.Second: "1 d", 76 * time.Hour: "3 d 4 h",
	} {
		if got := took(d); got != want {
			t.Errorf("%s: got %q, want %q", d, got, want)
		}
	}
}
