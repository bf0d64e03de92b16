package agent

import (
	"fmt"
	"strings"
	"time"
)

// Standing is how one environment of an app stands, as a row of the comment on a
// pull request.
type Standing struct {
	App         string // shown in the comment of a group
	Environment string
	URL         string // where it answers; may be empty
	State       string // in words, an emoji first; empty: by Phase and Destroyed
	Phase       Phase
	Destroyed   bool   // the environment is gone, or is being taken away
	Commit      string // whose code runs, or is to
	ExpiresAt   time.Time
	Check       string // web address of the check or of the run; may be empty
	Note        string // why it stands so, in plain text; may be empty
	Next        string // what to do about that, in plain text; may be empty
}

// commentMarker finds the one comment of an app on a pull request again. An app's
// name is a DNS label, which cannot end it.
func commentMarker(app string) string { return "<!-- inhaul: preview " + app + " -->" }

// maxRows is how many environments are listed; a pull request has one or two.
const maxRows = 20

// maxNamed is how much of a name is shown that others choose.
const maxNamed = 63

// commentBody is the one comment of an app on a pull request, in Markdown. The
// same rows make the same body.
func commentBody(app string, rows []Standing) string {
	return thread{apps: []App{{Name: app}}}.body(rows)
}

// body is the comment of t, in Markdown. The same rows make the same body.
func (t thread) body(rows []Standing) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n### %s on this pull request\n\n", t.marker(), code(t.title()))
	if t.group != "" {
		b.WriteString("| app | environment | state | commit | expires |\n|---|---|---|---|---|\n")
	} else {
		b.WriteString("| environment | state | commit | expires |\n|---|---|---|---|\n")
	}
	var notes []string
	closer := false
	for _, row := range rows[:min(len(rows), maxRows)] {
		if t.group != "" {
			b.WriteString("| " + code(clip(row.App, maxNamed)) + " ")
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", row.place(), link(row.words(), row.Check), orElse(code(short(row.Commit)), "–"), row.expiry())
		if t.group != "" { // the notes have no column for it
			row.Environment = row.App + " / " + row.Environment
		}
		if row.Note != "" {
			notes = append(notes, row.why())
		}
		closer = closer || webAddress(row.Check) != ""
	}
	if more := len(rows) - maxRows; more > 0 {
		notes = append(notes, fmt.Sprintf("And %d more.", more))
	}
	for _, note := range notes {
		b.WriteString("\n" + note + "\n")
	}
	b.WriteString("\nLook closer: ")
	if closer {
		b.WriteString("follow the link of a state, or run ")
	}
	for i, app := range t.apps {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(code("inhaul releases " + app.Name))
	}
	return fit(maxText, words(b.String()))
}

// why is the note of s, and below it what to do next and where there is more.
func (s Standing) why() string {
	note := fmt.Sprintf("**%s**: %s", plain(clip(s.Environment, maxNamed)), plain(clip(s.Note, maxNote)))
	if s.Next == "" {
		return note
	}
	note += "\n\n**Next:** " + strings.TrimSuffix(plain(clip(s.Next, maxNote)), ".") + "."
	if webAddress(s.Check) != "" {
		note += " " + link("Details", s.Check) // the check, or the run
	}
	return note
}

// place is the name of the environment, and leads there while it answers.
func (s Standing) place() string {
	name := plain(clip(s.Environment, maxNamed))
	if s.Destroyed {
		return name
	}
	return link(name, s.URL)
}

// words is the state for people.
func (s Standing) words() string {
	if s.State != "" {
		return plain(clip(s.State, maxActor))
	}
	switch s.Phase {
	case Pending, "":
		return "🕓 Queued"
	case Provisioning:
		return "⏳ Starting its databases"
	case Predeploying:
		return "⏳ Running the predeploy command"
	case Seeding:
		return "⏳ Running the seed command"
	case Applying, RollingOut:
		if s.Destroyed {
			return "⏳ Being taken away"
		}
		return "⏳ Rolling out"
	case Restoring:
		return "❌ Failed, going back"
	case Succeeded:
		if s.Destroyed {
			return "🗑️ Gone"
		}
		return "✅ Live"
	case Failed:
		return "❌ Failed"
	case RolledBack:
		return "❌ Failed, the release before serves"
	case Superseded:
		return "⚪ Superseded"
	}
	return plain(string(s.Phase))
}

func (s Standing) expiry() string {
	if s.ExpiresAt.IsZero() || s.Destroyed {
		return "–"
	}
	return s.ExpiresAt.UTC().Format("2 Jan 2006, 15:04 UTC")
}

// standing is the row of r; check is the web address of its check, if known. When
// it expires is for the caller to say.
func (r Release) standing(v view, check string) Standing {
	s := Standing{
		Environment: r.Line.Environment, URL: v.Environment.URL, Phase: r.Status.Phase,
		Commit: r.deployed(v.Releases), Check: orElse(check, v.run(r.Source.Repository, r.Source.RunID, r.Source.RunAttempt)),
	}
	if r.Asleep {
		s.URL = "" // nothing answers there
		s.State, s.Note, s.Next = sleeping(r.Line, v.previewPolicy(r.Line.App))
	}
	if r.Status.Cause != nil && r.Status.Phase != Superseded {
		s.Note, s.Next = r.Status.Cause.Message, r.Status.Cause.Next
	}
	return s
}

// standing is the row of a refusal, where nothing of the app stands.
func (r Refusal) standing(v view, check string) Standing {
	s := Standing{
		Environment: r.Line.Environment, State: "🚫 Denied", Commit: r.Commit, Note: r.Message,
		Check: orElse(check, v.run(r.Repository, r.RunID, 0)),
	}
	if r.Superseded {
		s.State = "⚪ Superseded"
	} else {
		s.Next = r.next()
	}
	return s
}
