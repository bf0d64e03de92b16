package render

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/inhaul/inhaul/agent"
)

// maxLabel is how long a DNS label may be, and a label's value too.
//
// https://datatracker.ietf.org/doc/html/rfc1123#section-2.1
const maxLabel = 63

// maxCronJob is how long the name of a CronJob may be: its controller appends 11
// characters to name a Job.
//
// https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/
const maxCronJob = maxLabel - 11

// nameHashLength is how many hex digits tell two cut names apart.
const nameHashLength = 8

// Name is the name of the objects of one service of an app: a DNS label that a
// Service may have too. A name that is too long is cut and ends with a hash of
// the whole.
func Name(app, service string) string { return label(app + "-" + service) }

// CronJobName is the name of the objects of a service that is a job. It is that
// of Name where that is short enough for a CronJob.
func CronJobName(app, service string) string { return fit(app+"-"+service, maxCronJob) }

// PredeployName is the name of the Job that runs the predeploy of r: there is
// one of that name at most. No Job of a CronJob can have it: theirs end with a
// hyphen and digits.
func PredeployName(r agent.Release) string {
	end := "-" + string(agent.TaskPredeploy) + "-r" + strconv.Itoa(r.Number)
	return fit(r.Line.App, maxLabel-len(end)) + end
}

// TaskName is the name of the Job that runs a task of r. That of a seed or a teardown
// is the preview's, which has the namespace for itself: there is one of it at most,
// whichever release it is of.
func TaskName(r agent.Release, kind agent.TaskKind) string {
	if kind == agent.TaskPredeploy {
		return PredeployName(r)
	}
	end := "-" + string(kind)
	return fit(r.Line.App, maxLabel-len(end)) + end
}

// Label is the value that a name has in the labels of objects.
func Label(name string) string { return label(name) }

// PolicyName is the name of the NetworkPolicy that keeps an app's pods to their
// namespace. No service can have an object of that name: it has a dot.
func PolicyName(app string) string { return label(app) + ".default" }

// label turns any text into a DNS label that begins with a letter (RFC 1035, as
// Services want it).
func label(text string) string { return fit(text, maxLabel) }

// fit is a label of at most length characters.
func fit(text string, length int) string {
	var b strings.Builder
	for _, r := range strings.ToLower(text) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			b.WriteRune(r)
		} else {
			b.WriteByte('-')
		}
	}
	name := strings.Trim(b.String(), "-")
	if name == "" || name[0] < 'a' {
		name = strings.TrimSuffix("x-"+name, "-")
	}
	if len(name) <= length {
		return name
	}
	head := strings.TrimRight(name[:length-nameHashLength-1], "-")
	return head + "-" + hash(nameHashLength, text)
}

// hash is the beginning of the SHA-256 of parts, in hex; parts are kept apart,
// so that moving a letter from one to the next is seen.
func hash(length int, parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil))[:length]
}
