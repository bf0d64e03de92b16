package agent

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// message is what a way is to show: a release or a refusal, as it may be shown now.
type message struct {
	way        Way
	line       Line
	repository string
	commit     string // that was deployed
	head       string // head commit of the pull request that it belongs to, once that is known
	intent     string
	since      time.Time // when the intent was issued
	at         time.Time // of the newest moment that it tells of
	id         int64     // as in Reported
	told       []Release // that the comment tells of, as it does; once it is shown

	view    view
	release *Release
	refusal *Refusal
	end     *end
}

func (r Release) message(way Way, v view) *message {
	return &message{
		way: way, line: r.Line, repository: r.Source.Repository, commit: r.Source.Commit, head: r.Status.ReportedOn, intent: r.Intent,
		since: r.IssuedAt, at: r.Status.last(), id: r.Status.Shown(way).ID, view: v, release: &r,
	}
}

func (r Refusal) message(way Way, v view) *message {
	return &message{
		way: way, line: r.Line, repository: r.Repository, commit: r.Commit, intent: r.Intent, since: r.At, at: r.At, view: v, refusal: &r,
	}
}

// pullRequest is that which m is about, as its intent says; 0 for none.
func (m *message) pullRequest() int {
	switch {
	case m.release != nil:
		return m.release.Source.PullRequest
	case m.end != nil:
		return m.end.destroy.Source.PullRequest
	}
	return m.refusal.PullRequest
}

// commented reports whether the comment on the pull request tells of what m is about.
func (m *message) commented() bool {
	return m.release != nil && !m.release.Removed || m.end != nil && m.end.destroy.commented(m.end.preview)
}

// on is the commit that m is shown on.
func (m *message) on() string { return orElse(m.head, m.commit) }

// check is m as a check run on its commit.
func (m *message) check() Check {
	var check Check
	switch {
	case m.release != nil:
		check = m.release.check(m.view)
	case m.end != nil:
		check = m.end.check(m.view)
	default:
		check = m.refusal.check(m.view)
	}
	check.ID, check.Commit = m.id, m.on()
	return check
}

// status is m as a commit status on its commit.
func (m *message) status() CommitStatus {
	var status CommitStatus
	switch {
	case m.release != nil:
		status = m.release.commitStatus(m.view)
	case m.end != nil:
		status = m.end.commitStatus(m.view)
	default:
		status = m.refusal.commitStatus(m.view)
	}
	status.Commit = m.on()
	return status
}

// say has the way show m, and returns what finds it again.
func (a *Agent) say(ctx context.Context, m *message) (int64, error) {
	if m.way == WayReceipt {
		return a.publish(ctx, m)
	}
	if err := a.findHead(ctx, m); err != nil {
		return 0, err
	}
	switch m.way {
	case WayCheck:
		return a.Checks.Show(ctx, m.check())
	case WayStatus:
		return 0, a.Statuses.ShowStatus(ctx, m.status())
	case WayDeployment:
		return a.Deployments.ShowDeployment(ctx, m.deployment())
	case WayComment:
		return a.showComment(ctx, m)
	case WayReceipt:
	}
	return 0, fmt.Errorf("there is no way %q", m.way)
}

// deployment is m as a GitHub deployment of the code that it runs.
func (m *message) deployment() Deployment {
	r := *m.release
	d := r.deployment(m.view)
	d.ID, d.Commit, d.LogURL = m.id, m.on(), orElse(r.checkPage(m.view), d.LogURL)
	if r.Restore != 0 {
		d.Commit = r.restored(m.view, d.Commit)
	}
	return d
}

// restored is the commit whose code r brings back, as r's own repository has it;
// else the given one.
func (r Release) restored(v view, otherwise string) string {
	old := v.find(r.Restore)
	switch {
	case old != nil && old.Source.Repository != r.Source.Repository:
		return otherwise
	case old != nil && old.Restore == 0 && old.Status.ReportedOn != "":
		return old.Status.ReportedOn
	case r.Commit != "":
		return r.Commit
	}
	return otherwise
}

// maxReceipts is how many numbers of receipts are tried at a time. Each but the
// first was taken by an agent that died before it wrote that down.
const maxReceipts = 16

// publish publishes m as a receipt under the first number that is free, or has it
// already. It names the head commit that the intent names: whoever reads it knows
// that commit by itself.
func (a *Agent) publish(ctx context.Context, m *message) (int64, error) {
	app, found := a.app(m.line.App)
	if !found {
		return 0, fmt.Errorf("there is no App %q", m.line.App)
	}
	check := m.check()
	check.ID, check.Commit = 0, m.claimed()
	receipt := Receipt{
		Intents: app.Intents, Intent: m.intent, Final: check.Status == Completed, Line: m.line,
		Check: check, Reported: a.Checks != nil, At: m.at,
	}
	if r := m.release; r != nil {
		receipt.Marker = r.marker(m.view)
	}
	if number := m.pullRequest(); number != 0 && m.commented() {
		claimed := func(r Release) string { return r.Source.HeadCommit }
		comment, _ := a.comment(thread{apps: []App{app}}, m.repository, number, claimed)
		receipt.Comment = &comment
	}
	if err := a.mayPublish(app.Name); err != nil {
		return m.id, err
	}
	var err error
	for range maxReceipts {
		number := a.nextReceipt(m)
		receipt.Number = int(number)
		err = a.Receipts.PublishReceipt(ctx, receipt)
		a.published(app.Name, err)
		if !errors.Is(err, ErrExists) {
			return number, err
		}
		a.taken(m.intent, number)
	}
	return m.id, err
}

// maxTaken is of how many intents it is kept in memory that numbers of receipts are
// taken; some 100 kB.
const maxTaken = 1000

// nextReceipt is the first number of a receipt of m that may be free.
func (a *Agent) nextReceipt(m *message) int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return max(m.id, a.numbers[m.intent]) + 1
}

// taken notes that a number is another receipt's, so that the next try begins there.
func (a *Agent) taken(intent string, number int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.numbers) >= maxTaken {
		clear(a.numbers)
	}
	a.numbers[intent] = number
}
