package render

import "strings"

// simpleCommand splits a shell command line into its words, as they are
// written, quotes and all. It reports false for anything but one simple
// command: for operators, for more than one line, for what it cannot follow.
// Redirections are part of a simple command.
func simpleCommand(line string) (words []string, ok bool) {
	start := -1 // of the current word
	for i := 0; i < len(line); {
		switch c := line[i]; c {
		case ' ', '\t':
			if start >= 0 {
				words = append(words, line[start:i])
				start = -1
			}
			i++
			continue
		case '\n', '\r', ';', '|', '&', '(', ')':
			return nil, false
		case '#':
			if start < 0 {
				return words, true // a comment to the end of the line
			}
		}
		if start < 0 {
			start = i
		}
		next, ok := skip(line, i)
		if !ok {
			return nil, false
		}
		i = next
	}
	if start >= 0 {
		words = append(words, line[start:])
	}
	return words, true
}

// skip returns the index after the unit at i: a character, a quoted text, an
// expansion, or a redirection operator. It reports false if the unit does not
// end.
func skip(line string, i int) (int, bool) {
	switch line[i] {
	case '\\':
		return i + 2, i+1 < len(line)
	case '\'':
		return after(line, i+1, "'")
	case '"':
		return skipDouble(line, i+1)
	case '`':
		return after(line, i+1, "`")
	case '$':
		return skipExpansion(line, i)
	case '>', '<':
		if strings.HasPrefix(line[i:], "<<") {
			return 0, false // a here-document
		}
		if i+1 < len(line) && (line[i+1] == '&' || line[i+1] == '|' || line[i+1] == '>') {
			return i + 2, true // >&2, >|file, >>file
		}
	}
	return i + 1, true
}

func after(line string, i int, end string) (int, bool) {
	n := strings.Index(line[i:], end)
	return i + n + len(end), n >= 0
}

// skipDouble returns the index after the double quote that ends the text at i.
func skipDouble(line string, i int) (int, bool) {
	for i < len(line) {
		switch line[i] {
		case '"':
			return i + 1, true
		case '\\':
			i += 2
		case '$', '`':
			next, ok := skip(line, i)
			if !ok {
				return 0, false
			}
			i = next
		default:
			i++
		}
	}
	return 0, false
}

// skipExpansion returns the index after $NAME, ${…}, $(…) or $((…)).
func skipExpansion(line string, i int) (int, bool) {
	if i+1 == len(line) {
		return i + 1, true
	}
	opening := line[i+1]
	var closing byte
	switch opening {
	case '(':
		closing = ')'
	case '{':
		closing = '}'
	default:
		return i + 1, true
	}
	depth := 1
	for i += 2; i < len(line); {
		switch line[i] {
		case closing:
			depth--
			if depth == 0 {
				return i + 1, true
			}
			i++
		case opening:
			depth++
			i++
		case '\'', '"', '\\', '`', '$':
			next, ok := skip(line, i)
			if !ok {
				return 0, false
			}
			i = next
		default:
			i++
		}
	}
	return 0, false
}
