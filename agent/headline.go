package agent

import (
	"regexp"
	"slices"
	"strings"
)

// maxHeadline is how much of a cause a title has, in characters: lists of commits
// show 30 to 40, and with what serves it has to fit into maxDescription.
const maxHeadline = 80

// The words of causes that a headline says shorter.
var (
	endedTimes   = regexp.MustCompile(`^the container ended (\d+) times, last with ([^:;]+)`)
	memoryOf     = regexp.MustCompile(`^out of memory: the container reached its memory limit of (\S+)`)
	lateAnswer   = regexp.MustCompile(`^(?:runs, but was not ready within \S+|the kubelet ended the container \d+ times, since \S+ fails): (.+)`)
	answered     = regexp.MustCompile(` on port \d+ is answered with `)
	insufficient = regexp.MustCompile(`\bInsufficient ([A-Za-z0-9./-]*[A-Za-z0-9])`)
)

// headline is the cause in as few words as tell it apart: its message, which is
// durable, without what the details say.
func (c Cause) headline() string {
	message := oneLine(c.Message)
	who := ""
	if rest, told := strings.CutPrefix(message, c.Service+": "); told && c.Service != "" {
		who, message = c.Service+": ", rest
	}
	message, _, _ = strings.Cut(message, "; ")
	return clip(who+c.inShort(message), maxHeadline)
}

// inShort is message, the cause's without its service, in short.
func (c Cause) inShort(message string) string {
	switch c.Kind {
	case CauseCrash:
		if found := endedTimes.FindStringSubmatch(message); found != nil {
			return found[2] + ", " + times(found[1])
		}
	case CauseOutOfMemory:
		if found := memoryOf.FindStringSubmatch(message); found != nil {
			return "out of memory, with a limit of " + found[1]
		}
	case CauseProbe:
		if found := lateAnswer.FindStringSubmatch(message); found != nil {
			return answered.ReplaceAllString(found[1], " answers ")
		}
	case CauseUnschedulable:
		return noNode(message)
	case CauseQuota, CauseAdmission, CauseRejected:
		return refusedInShort(message)
	case CauseArchitecture:
		return "the image is for another CPU"
	case CauseImagePull:
		return "the image cannot be pulled"
	case CauseConfig, CauseSecret, CauseNotListening, CauseNotReady, CauseNoProgress, CausePredeploy, CauseSeed, CauseTeardown:
	}
	return withoutDetails(message)
}

// withoutDetails is a message up to where it quotes others, or explains.
func withoutDetails(message string) string {
	for _, detail := range []string{" (", ": kubectl ", " in namespace ", ": exec "} {
		message, _, _ = strings.Cut(message, detail)
	}
	// Both may follow the name of a setting.
	shorter := strings.NewReplacer(": there is no ", ": no ", ": runs, but was not ready ", ": not ready ")
	return strings.TrimPrefix(shorter.Replace(": "+message), ": ")
}

// times is how often, in words.
func times(number string) string {
	if number == "2" {
		return "twice"
	}
	return number + " times"
}

// noNode says what no node has enough of, if the scheduler has no other reason.
func noNode(message string) string {
	var lacks []string
	for _, found := range insufficient.FindAllStringSubmatch(message, -1) {
		if !slices.Contains(lacks, found[1]) {
			lacks = append(lacks, found[1])
		}
	}
	if len(lacks) == 0 || says(message, "untolerated taint", "node affinity", "node selector") {
		return "no node takes the pod"
	}
	return "no node has enough " + strings.Join(lacks, " and ")
}

// refusedInShort says what the API server, or who it asks, has refused.
func refusedInShort(message string) string {
	switch {
	case says(message, "exceeded quota"):
		return "pods refused: quota exceeded"
	case says(message, "failed quota", "must specify", "usage per container is", "usage per pod is", "limit to request ratio"):
		return "pods refused: limits of the namespace"
	case says(message, "violates podsecurity"):
		return "pods refused: pod security standard"
	}
	what, _, _ := strings.Cut(message, ": ")
	return what
}
