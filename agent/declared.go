package agent

import "time"

// lineWord is what an App says about a line that may change while nothing is deployed.
type lineWord struct {
	drift      DriftPolicy
	sleepAfter time.Duration
	wakeLabel  string
}

// declare takes note of the lines that apps, which are all of the cluster, have
// now. A line that is new, or back, gets a turn, and so does one whose App says
// something else about its drift or its sleep than before: what was only reported may
// have to be put back, and what sleeps be woken. Of a line that no App has any more nothing is remembered.
func (a *Agent) declare(apps []App) {
	declared := map[Line]bool{}
	for _, app := range apps {
		for _, e := range app.Environments {
			line := Line{App: app.Name, Environment: e.Name}
			declared[line] = true
			a.mu.Lock()
			before, known := a.policies[line]
			now := lineWord{drift: e.Drift}
			if e.PullRequest != 0 && app.PreviewPolicy != nil {
				now.sleepAfter, now.wakeLabel = app.PreviewPolicy.SleepAfter, app.PreviewPolicy.WakeLabel
			}
			a.policies[line] = now
			a.mu.Unlock()
			if !known {
				a.wakeReports(line)
			}
			if !known || before != now {
				a.lines.wake(line, false)
			}
		}
	}
	a.forgetOthers(declared)
}

// forgetOthers forgets every line but those that are declared. How long a release
// cannot be written stays known until it has its verdict, whoever declares it.
func (a *Agent) forgetOthers(declared map[Line]bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for line := range a.policies {
		if !declared[line] {
			delete(a.policies, line)
		}
	}
	for line, alarm := range a.alarms {
		if !declared[line] {
			alarm.Stop()
			delete(a.alarms, line)
		}
	}
	for line := range a.failing {
		releases := a.Reader.Releases(line)
		if n := len(releases); !declared[line] && (n == 0 || releases[n-1].Status.Phase.Terminal()) {
			delete(a.failing, line)
		}
	}
}
