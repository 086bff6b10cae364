package e2e

import (
	"encoding/base64"
	"encoding/hex"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
)

// Every password of these tests begins with secretMark, every payload with
// payloadMark. Neither may ever be in a log. (The length, a multiple of three,
// keeps their base64 the beginning of that of what they begin.)
const (
	secretMark  = "hush-hush"
	payloadMark = "precious-"
)

func password(user string) string { return secretMark + "-" + user }
func payload(text string) string  { return payloadMark + text }

// What proxies have written in this run: to stderr in this process, and
// elsewhere (audit logs, the output of the binary, metrics).
var operatorLog, otherLogs = newTranscript(), newTranscript()

// captureStderr makes what this process writes to os.Stderr operatorLog, until
// release is called.
func captureStderr() (release func(), err error) {
	stderr := os.Stderr
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(operatorLog, r)
	}()
	os.Stderr = w
	return func() {
		os.Stderr = stderr
		_ = w.Close()
		<-done
	}, nil
}

// logged returns the operator log up to now.
func logged(t *testing.T) string {
	t.Helper()
	mark := "mark of " + t.Name() + "\n"
	n := strings.Count(operatorLog.String(), mark)
	if _, err := os.Stderr.WriteString(mark); err != nil {
		t.Fatal(err)
	}
	return operatorLog.await(t, mark, n+1)
}

// findings are what must not be in any log.
func findings(log string) []string {
	var found []string
	for kind, mark := range map[string]string{"password": secretMark, "payload": payloadMark} {
		for form, text := range map[string]string{
			"as text":        mark,
			"in base64":      base64.StdEncoding.EncodeToString([]byte(mark)),
			"in hexadecimal": hex.EncodeToString([]byte(mark)),
		} {
			if _, after, ok := strings.Cut(log, text); ok {
				after, _, _ = strings.Cut(after, "\n")
				found = append(found, "a "+kind+" "+form+", before "+after)
			}
		}
	}
	for line := range strings.Lines(log) {
		if isError(line) {
			found = append(found, "an error: "+line)
		}
	}
	slices.Sort(found)
	return found
}

// isError reports whether a line of a log is an ERROR. The only ones that tests
// cause on purpose are those of a reload and of an upgrade that fail.
func isError(line string) bool {
	return (strings.Contains(line, `"level":"ERROR"`) || strings.Contains(line, "level=ERROR") || strings.Contains(line, "DATA RACE")) &&
		!strings.Contains(line, "reload failed") && !strings.Contains(line, "upgrade failed")
}

func TestFindings(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ log, want string }{
		"clean":          {`{"level":"INFO","msg":"ready"}`, ""},
		"failed reload":  {`{"level":"ERROR","msg":"reload failed: the configuration stays as it was"}`, ""},
		"error":          {`{"level":"ERROR","msg":"panic in a session"}`, "an error"},
		"error as text":  {`time=now level=ERROR msg=panic`, "an error"},
		"race":           {"WARNING: DATA RACE", "an error"},
		"password":       {"user alice, password " + password("alice"), "a password as text"},
		"password bytes": {hex.EncodeToString([]byte(password("alice"))), "a password in hexadecimal"},
		"payload":        {base64.StdEncoding.EncodeToString([]byte(payload("x"))), "a payload in base64"},
	} {
		t.Run(name, func(t *testing.T) {
			got := strings.Join(findings(test.log), "\n")
			if (got == "") != (test.want == "") || !strings.HasPrefix(got, test.want) {
				t.Errorf("findings %q, want %q", got, test.want)
			}
		})
	}
}
