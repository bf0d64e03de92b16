package action

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/inhaul/inhaul/intent"
)

// How often the verdict is asked for: at first for people's sake, later for the
// rate limit's, which is 1,000 requests an hour for a workflow's token.
const (
	firstPoll    = time.Second
	slowestPoll  = 5 * time.Second
	pollsAtFirst = 10 // then every wait is a quarter longer
)

// The bounds of what a check says to a workflow.
const (
	maxMarkerBytes  = 4 << 10
	maxTitleBytes   = 500
	maxSummaryBytes = 32 << 10
	maxURLBytes     = 2 << 10
)

// checkNames are the names that the agent may give the check run, the likelier
// one first: it names the app where it knows several of one repository.
func checkNames(d *deploy) []string {
	names := []string{"inhaul / " + d.environment, "inhaul / " + d.app.Name + " / " + d.environment}
	if d.several {
		slices.Reverse(names)
	}
	return names
}

// awaitVerdict polls the commit's check run until it is completed, at most for
// the timeout from start on.
func (a *Action) awaitVerdict(ctx context.Context, d *deploy, start time.Time) error {
	verdicts, err := a.Verdicts(d.inputs.Token)
	if err != nil {
		return fmt.Errorf("connecting to GitHub: %w", err)
	}
	defer func() { d.steps = append(d.steps, step{"wait", a.Now().Sub(start)}) }()
	names := checkNames(d)
	a.infof("waiting for the check %q, at most %s", names[0], d.inputs.Timeout)
	var seen bool
	var trouble error
	shown := ""
	wait := firstPoll
	for polls := 1; ; polls++ {
		check, found, err := verdicts.Find(ctx, d.source.Repository, d.commit(), names[0], d.intent)
		if trouble = err; err == nil && !found && !seen { // ask for the other name next
			slices.Reverse(names)
		}
		switch {
		case errors.Is(err, ErrNoAccess):
			return userError(err.Error(), "give the job `permissions: {checks: read}`, or set the input wait to false")
		case ctx.Err() != nil:
			return fmt.Errorf("waiting for the verdict, while the deploy goes on: %w", ctx.Err())
		case err == nil && found:
			seen, d.check = true, check.bounded()
			if news := d.check.Status + ": " + d.check.Title; news != shown {
				a.infof("%s", news)
				shown = news
			}
			if d.check.Status == "completed" {
				d.marker = parseMarker(check.Text)
				d.image = cmp.Or(d.image, d.marker.Image)
				return a.conclude(d)
			}
		}
		if left := d.inputs.Timeout - a.Now().Sub(start); left <= 0 {
			return noVerdict(d, seen, trouble)
		} else if err := a.Sleep(ctx, min(wait, left)); err != nil {
			return fmt.Errorf("waiting for the verdict, while the deploy goes on: %w", err)
		}
		if polls >= pollsAtFirst {
			wait = min(wait+wait/4, slowestPoll)
		}
	}
}

// conclude turns the verdict into the job's result.
func (a *Action) conclude(d *deploy) error {
	what, done, undone := "deploy to ", "deployed to ", "not deployed: "
	switch d.kind {
	case intent.Rollback:
		what, done, undone = "rollback of ", "rolled back ", "not rolled back: "
	case intent.Destroy:
		what, done, undone = "destroy of ", "destroyed ", "not destroyed: "
	case intent.Deploy:
	}
	switch d.check.Conclusion {
	case "success":
		a.infof("%s%s", done, d.environment)
		return nil
	case "neutral", "skipped":
		a.github().Warningf("%s", undone+d.check.Title+"\n"+d.check.Summary)
		return nil
	case "action_required":
		return userError("the "+what+d.environment+" was denied: "+d.check.Title+"\n"+d.check.Summary,
			"the rules are in the App resource of the cluster; see "+d.check.URL)
	}
	return userError("the "+what+d.environment+" failed: "+d.check.Title+"\n"+d.check.Summary, "see "+d.check.URL)
}

// noVerdict says what to look at when the time is over.
func noVerdict(d *deploy, seen bool, trouble error) error {
	in := d.inputs
	switch {
	case seen:
		return userError(fmt.Sprintf("the rollout was still going after %s (%s)", in.Timeout, d.check.Title),
			"the agent goes on: see "+d.check.URL+"; a longer timeout input waits longer")
	case trouble != nil:
		return fmt.Errorf("asking GitHub for the verdict for %s, while the deploy goes on: %w", in.Timeout, trouble)
	}
	return userError(fmt.Sprintf("no agent has answered within %s: no check run %q appeared on %s", in.Timeout, checkNames(d)[0], short(d.commit())),
		fmt.Sprintf("is the agent running (`kubectl -n inhaul logs deploy/inhaul-agent`)? is the App %s's `intents` repository %s, and may the agent pull from it? "+
			"may the agent write checks on %s?", d.app.Name, d.intents, d.source.Repository))
}

// bounded returns the check with foreign text cut to what a log can take.
func (c Check) bounded() Check {
	c.Title = strings.ToValidUTF8(c.Title[:min(len(c.Title), maxTitleBytes)], "")
	c.Summary = strings.ToValidUTF8(c.Summary[:min(len(c.Summary), maxSummaryBytes)], "")
	c.URL = webAddress(c.URL)
	c.Text = ""
	return c
}

// marker is what the agent tells the workflow in the check's text, as an HTML
// comment: <!-- inhaul: {"release":12,"url":"…"} -->.
type marker struct {
	Release  int    `json:"release"`
	Back     int    `json:"back"` // the release that served before
	URL      string `json:"url"`
	Restored int    `json:"restored"` // the release that a rollback brought back, and what that is
	Commit   string `json:"commit"`
	Image    string `json:"image"`
}

// parseMarker reads the last marker in text: what comes before it may quote an
// app's log, and nothing of an app comes after it. It returns the zero marker if
// there is none, or none that can be believed.
func parseMarker(text string) marker {
	const begin, end = "<!-- inhaul: ", " -->"
	at := strings.LastIndex(text, begin)
	if at < 0 {
		return marker{}
	}
	body, _, ended := strings.Cut(text[at+len(begin):], end)
	var m marker
	if !ended || len(body) > maxMarkerBytes || json.Unmarshal([]byte(body), &m) != nil || m.Release < 0 || m.Back < 0 || m.Restored < 0 {
		return marker{}
	}
	m.URL = webAddress(m.URL)
	if m.Restored == 0 || !commitShape.MatchString(m.Commit) || digestReference(m.Image, &m.Image) != nil {
		m.Restored, m.Commit, m.Image = 0, "", ""
	}
	return m
}

// webAddress returns text if it is an address for a browser, or nothing.
func webAddress(text string) string {
	u, err := url.Parse(text)
	if err != nil || len(text) > maxURLBytes || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	return u.String()
}
