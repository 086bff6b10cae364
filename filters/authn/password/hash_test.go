package password

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// Hashes that other programs made.
const (
	// Mosquitto's own.
	sha512Test  = "$6$njERlZMi/7DzNB9E$iiavfuXvUm8iyDZArTy7smTxh07GXXOrOsqxfW6gkOYVXHGk+W+i/8d3xDxrMwEPygEBhoA8A/gjQC0N2M4Lkw=="
	sha512Word  = "$6$vZY4TS+/HBxHw38S$vvjVFECzb8dyuu/mruD2QKTfdFn0WmKxbc+1TsdB0L8EdHk3v9JRmfjHd56+VaTnUcSZOZ/hzkdvWCtxlX7AUQ=="
	pbkdf2Word  = "$7$1000$h0tqVxBwkB9rKAXukTtffzdbBQtNy1q5FBTDwSW4hucfjpqunBbxW10NVnRk7Cfh0lQndnOv2+k4wJavgz1JNw==$02ujkUXlKkJGFzlQHNjUgXwG3XRB1mr3vs8NX5teGCJGbN4hdgSpHNHuj47j8r5SHXsO7GeHpmkpPNhLraVVcQ=="
	pbkdf2Test  = "$7$1000$97ozvObcN5zP4MGzYUw4uRp8+mPQbThrHOX69vdHHNVwV4iZf2K2X23FS7weilZMKeV+9oLHdilybmpXcFApYg==$WlM0jUhsiQNQJe4IDt5K1rmtAdaenWGdntswJmDkp74W9pdrt/+RdIK3YaJ09o3pD1xbtokXq933bQh+CrjA4Q=="
	pbkdf2Short = "$7$101$FpGOEUD4FWtycPsp$4LNSmYVMnSyEff8cK5c+84ZrvUMYcomwGjvRrddFLERD8uDQotttNGXFGv8VJUUz9RlysIoWOjZpsxq2zfLNCg==" // 2.0.11, "secret"

	// The reference implementation's tests of Argon2, "password".
	argon2Word    = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
	argon2Threads = "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc"

	// Openwall's tests of bcrypt.
	bcryptA    = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW" // "U*U"
	bcryptY    = "$2y$05$/OK.fbVrR/bpIqNJ5ianF.CE5elHaaO4EbggVDjb8P19RukzXSM3e" // "\xff\xff\xa3"
	bcryptLong = "$2a$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui" // the 72 bytes of longPassword

	// PostgreSQL 15, RFC 7677, and Python's hashlib and hmac.
	scramPostgres = "SCRAM-SHA-256$4096:7+KE7V8HCSjOtxPTsICJQw==$6WItiJwrhtLb2e86SaVeMlP0CFuYm1eHNzQWLQzb4zs=:3A32w+U2qKepbmMmYc/Is6bDoc4+TCdE6O9sYRnueiU=" // "secret"
	scramRFC      = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=" // "pencil"
	scramPython   = "SCRAM-SHA-512$4096:MDEyMzQ1Njc4OWFiY2RlZg==$50q+37QH8XpaNkNxjgBGkxqXkoXVH2Lh3lHJ07g7AOGVlU4FcOi+wjKQc80Fl2VeSw/SniKUPcJigYjLk6Y/2w==:fgiGfVDf7076b3mVdGf4ced4bUxY4L8AjpHsD8KRzbGOujkLSpj40lrcb9IvGqJ4Uv3dBiyDgUgoQnoVamua2Q=="

	// mosquitto-go-auth's documentation and tests.
	goAuthFoo  = "PBKDF2$sha512$100000$qsU7xQ8YCV/9nRuBBJVTxA==$jqw94Ej3aEr97UofY6rClmVCRkTdDiubQW0A6ZYmUI+pZjW9Hax+2w2FeYB3y5ut1SliB7+HAwIl2iONLKkohw=="
	goAuthTest = "PBKDF2$sha512$100000$os24lcPr9cJt2QDVWssblQ==$BK1BQ2wbwU1zNxv3Ml3wLuu5//hPop3/LvaPYjjCwdBvnpwusnukJPpcXQzyyjOlZdieXTx6sXAcX4WnZRZZnw==" // "testpw"

	// Python's hashlib, "password".
	goAuth256 = "PBKDF2$sha256$1000$MDEyMzQ1Njc4OWFiY2RlZg==$hRRjgXWkW8ResfIvBP99J/T4vkgEmMRV/0tJTOjR59I="
	phc512    = "$pbkdf2-sha512$i=1000,l=64$MDEyMzQ1Njc4OWFiY2RlZg$38DzhdBT7fPaUGBlsh42VTuuKSFAIYGZJ7l6feCDLIl+K3hdPFgxxu7xuUi4gIuH6cEIoODn18xH9Ig2ryNgUw"
	phc256    = "$pbkdf2-sha256$i=1000,l=40$MDEyMzQ1Njc4OWFiY2RlZg$hRRjgXWkW8ResfIvBP99J/T4vkgEmMRV/0tJTOjR59L1MlKxm2XwUg"
)

const longPassword = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

func TestMatch(t *testing.T) {
	tests := []struct {
		name     string
		hash     string
		password string
		cost     string
	}{
		{"SHA-512", sha512Test, "test", "$6$"},
		{"SHA-512, another", sha512Word, "password", "$6$"},
		{"PBKDF2", pbkdf2Word, "password", "$7$1000"},
		{"PBKDF2, another", pbkdf2Test, "test", "$7$1000"},
		{"PBKDF2, short salt", pbkdf2Short, "secret", "$7$101"},
		{"argon2id", argon2Word, "password", "$argon2id$v=19$m=256,t=2,p=1"},
		{"argon2id, two threads", argon2Threads, "password", "$argon2id$v=19$m=256,t=2,p=2"},
		{"bcrypt 2a", bcryptA, "U*U", "$2$05"},
		{"bcrypt 2b", "$2b" + bcryptA[3:], "U*U", "$2$05"},
		{"bcrypt 2y", bcryptY, "\xff\xff\xa3", "$2$05"},
		{"bcrypt, longest password", bcryptLong, longPassword, "$2$05"},
		{"SCRAM-SHA-256", scramPostgres, "secret", "SCRAM-SHA-256$4096"},
		{"SCRAM-SHA-256, another", scramRFC, "pencil", "SCRAM-SHA-256$4096"},
		{"SCRAM-SHA-256, of the same meaning", scramRFC, "pen\u00adcil", "SCRAM-SHA-256$4096"},
		{"SCRAM-SHA-512", scramPython, "pencil", "SCRAM-SHA-512$4096"},

		{"go-auth", goAuthFoo, "foo", "$pbkdf2-sha512$i=100000,l=64"},
		{"go-auth, another", goAuthTest, "testpw", "$pbkdf2-sha512$i=100000,l=64"},
		{"go-auth, SHA-256", goAuth256, "password", "$pbkdf2-sha256$i=1000,l=32"},
		{"PHC PBKDF2", phc512, "password", "$pbkdf2-sha512$i=1000,l=64"},
		{"PHC PBKDF2, SHA-256 of two blocks", phc256, "password", "$pbkdf2-sha256$i=1000,l=40"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, err := parseHash(tt.hash)
			if err != nil {
				t.Fatal(err)
			}
			if h.cost != tt.cost {
				t.Errorf("cost %q, want %q", h.cost, tt.cost)
			}
			if !h.match([]byte(tt.password)) {
				t.Error("the right password does not match")
			}
			for _, wrong := range []string{"", "wrong", tt.password + "x", tt.password[1:], strings.ToUpper(tt.password) + "\x00"} {
				if h.match([]byte(wrong)) {
					t.Errorf("the wrong password %q matches", wrong)
				}
			}
		})
	}
}

func TestParseHashErrors(t *testing.T) {
	pbkdf2 := func(iterations string) string { return "$7$" + iterations + strings.TrimPrefix(pbkdf2Word, "$7$1000") }
	scram := func(old, other string) string { return strings.Replace(scramRFC, old, other, 1) }
	argon2 := func(params string) string { return strings.Replace(argon2Word, "m=256,t=2,p=1", params, 1) }
	goAuth := func(iterations string) string { return strings.Replace(goAuthFoo, "100000", iterations, 1) }
	phc := func(params string) string { return strings.Replace(phc256, "i=1000,l=40", params, 1) }
	tests := []struct {
		name string
		hash string
		want error
	}{
		{"empty", "", errUnknownHash},
		{"plain text", "open sesame", errUnknownHash},
		{"crypt(3) MD5", "$1$abcdefgh$abcdefghijklmnopqrstuv", errUnknownHash},
		{"argon2i", strings.Replace(argon2Word, "argon2id", "argon2i", 1), errUnknownHash},
		{"argon2id of another version", strings.Replace(argon2Word, "v=19", "v=16", 1), errUnknownHash},

		{"SHA-512 without a sum", "$6$njERlZMi/7DzNB9E", errBadHash},
		{"SHA-512 with a field too many", sha512Test + "$", errBadHash},
		{"SHA-512 with a salt of 9 bytes", "$6$njERlZMi/7Dz" + sha512Test[19:], errBadHash},
		{"SHA-512 with a short sum", sha512Test[:len(sha512Test)-4], errBadHash},
		{"SHA-512 without padding", strings.TrimRight(sha512Test, "="), errBadHash},
		{"SHA-512 with stray bits", strings.Replace(sha512Test, "kw==", "kx==", 1), errBadHash},
		{"SHA-512 with a carriage return", strings.Replace(sha512Test, "njER", "nj\rER", 1), errBadHash},
		{"SHA-512 with base64url", strings.ReplaceAll(sha512Test, "/", "_"), errBadHash},
		{"crypt(3) SHA-512", "$6$rounds=5000$usesomesillystri$D4IrlXatmP7rx3P3InaxBeoomnAihCKRVQAr/36eYeKbQDbZ0vJ5/3Kc3mCHfYQJTNDGNGNT2R1O2l2w8yNyW1", errBadHash},

		{"PBKDF2 without iterations", pbkdf2(""), errBadHash},
		{"PBKDF2 with no number", pbkdf2("many"), errBadHash},
		{"PBKDF2 with a sign", pbkdf2("+1000"), errBadHash},
		{"PBKDF2 with a leading zero", pbkdf2("01000"), errBadHash},
		{"PBKDF2 with a field too few", "$7$1000$h0tqVxBwkB9rKAXu", errBadHash},
		{"PBKDF2 with no iteration", pbkdf2("0"), errCost},
		{"PBKDF2 with negative iterations", pbkdf2("-1"), errCost},
		{"PBKDF2 that takes minutes", pbkdf2("2000001"), errCost},
		{"PBKDF2 that overflows", pbkdf2("9999999999999999999999"), errBadHash},

		{"argon2id with a field too few", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ", errBadHash},
		{"argon2id with a field too many", argon2Word + "$", errBadHash},
		{"argon2id with parameters in another order", argon2("t=2,m=256,p=1"), errBadHash},
		{"argon2id with a key id", argon2("m=256,t=2,p=1,keyid=AAAA"), errBadHash},
		{"argon2id with blanks", argon2("m= 256,t=2,p=1"), errBadHash},
		{"argon2id with a leading zero", argon2("m=0256,t=2,p=1"), errBadHash},
		{"argon2id with threads that overflow", argon2("m=256,t=2,p=257"), errBadHash},
		{"argon2id with no memory", argon2("m=0,t=2,p=1"), errCost},
		{"argon2id with too little memory", argon2("m=15,t=2,p=2"), errCost},
		{"argon2id with no pass", argon2("m=256,t=0,p=1"), errCost},
		{"argon2id with no thread", argon2("m=256,t=2,p=0"), errCost},
		{"argon2id with 512 MiB", argon2("m=524288,t=1,p=1"), errCost},
		{"argon2id with 4 TiB", argon2("m=4294967295,t=1,p=1"), errCost},
		{"argon2id with many passes", argon2("m=256,t=17,p=1"), errCost},
		{"argon2id with memory and passes that are bounded only one by one", argon2("m=262144,t=16,p=1"), errCost},
		{"argon2id with many threads", argon2("m=256,t=2,p=17"), errCost},
		{"argon2id with a salt of 7 bytes", strings.Replace(argon2Word, "c29tZXNhbHQ", "c29tZXNhbA", 1), errBadHash},
		{"argon2id with a sum of 15 bytes", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4r", errBadHash},
		{"argon2id with a sum of 65 bytes", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$" + strings.Repeat("AAAA", 21) + "AAA", errBadHash},
		{"argon2id with padding", strings.Replace(argon2Word, "c29tZXNhbHQ", "c29tZXNhbHQ=", 1), errBadHash},

		{"bcrypt cut off", bcryptA[:59], errBadHash},
		{"bcrypt too long", bcryptA + "W", errBadHash},
		{"bcrypt of another version", "$2x" + bcryptA[3:], errBadHash},
		{"bcrypt of another alphabet", strings.Replace(bcryptA, "YPO9", "YP+9", 1), errBadHash},
		{"bcrypt without a cost", strings.Replace(bcryptA, "$05$", "$xx$", 1), errCost},
		{"bcrypt with a signed cost", strings.Replace(bcryptA, "$05$", "$+5$", 1), errCost},
		{"bcrypt below its least cost", strings.Replace(bcryptA, "$05$", "$03$", 1), errCost},
		{"bcrypt that takes seconds", strings.Replace(bcryptA, "$05$", "$16$", 1), errCost},

		{"SCRAM of another hash", "SCRAM-SHA-1" + strings.TrimPrefix(scramRFC, scram256), errUnknownHash},
		{"SCRAM in lower case", strings.ToLower(scramRFC), errUnknownHash},
		{"SCRAM without iterations", scram("4096:", ""), errBadHash},
		{"SCRAM with a sign", scram("4096", "+4096"), errBadHash},
		{"SCRAM with a leading zero", scram("4096", "04096"), errBadHash},
		{"SCRAM with too few iterations", scram("4096", "4095"), errCost},
		{"SCRAM that takes seconds", scram("4096", "1000001"), errCost},
		{"SCRAM without a salt", scram("W22ZaJ0SNY7soEsUEjb6gQ==", ""), errBadHash},
		{"SCRAM with a salt of 7 bytes", scram("W22ZaJ0SNY7soEsUEjb6gQ==", "MTIzNDU2Nw=="), errBadHash},
		{"SCRAM with a salt of 66 bytes", scram("W22ZaJ0SNY7soEsUEjb6gQ==", strings.Repeat("AAAA", 22)), errBadHash},
		{"SCRAM with a carriage return", scram("W22Z", "W22\rZ"), errBadHash},
		{"SCRAM with stray bits", scram("gQ==", "gR=="), errBadHash},
		{"SCRAM with a field too many", scramRFC + ":", errBadHash},
		{"SCRAM with a field too few", scramRFC[:strings.LastIndex(scramRFC, ":")], errBadHash},
		{"SCRAM with a short StoredKey", scram("$WG5d8oPm", "$8oPm"), errBadHash},
		{"SCRAM with a long ServerKey", scram(":wfPL", ":wfPLwfPL"), errBadHash},
		{"SCRAM with keys of another hash", strings.Replace(scramRFC, scram256, scram512, 1), errBadHash},

		{"go-auth of another digest", strings.Replace(goAuthFoo, "sha512", "sha1", 1), errUnknownHash},
		{"go-auth in small letters", strings.Replace(goAuthFoo, "PBKDF2", "pbkdf2", 1), errUnknownHash},
		{"go-auth with a field too few", "PBKDF2$sha512$100000$qsU7xQ8YCV/9nRuBBJVTxA==", errBadHash},
		{"go-auth with a field too many", goAuthFoo + "$", errBadHash},
		{"go-auth with no number", goAuth("many"), errBadHash},
		{"go-auth with a leading zero", goAuth("0100000"), errBadHash},
		{"go-auth with no iteration", goAuth("0"), errCost},
		{"go-auth that takes minutes", goAuth("2000001"), errCost},
		{"go-auth without padding", strings.TrimRight(goAuthFoo, "="), errBadHash},
		{"go-auth with a salt as text", strings.Replace(goAuthFoo, "qsU7xQ8YCV/9nRuBBJVTxA==", "a.salt", 1), errBadHash},
		{"go-auth with a salt of 6 bytes", strings.Replace(goAuthFoo, "qsU7xQ8YCV/9nRuBBJVTxA==", "qsU7xQ8Y", 1), errBadHash},
		{"go-auth with a salt of 66 bytes", strings.Replace(goAuthFoo, "qsU7xQ8YCV/9nRuBBJVTxA==", strings.Repeat("AAAA", 22), 1), errBadHash},
		{"go-auth with a sum of 15 bytes", "PBKDF2$sha512$1000$qsU7xQ8YCV/9nRuBBJVTxA==$" + strings.Repeat("AAAA", 5), errBadHash},
		{"go-auth with a sum of 66 bytes", "PBKDF2$sha512$1000$qsU7xQ8YCV/9nRuBBJVTxA==$" + strings.Repeat("AAAA", 22), errBadHash},
		{"PHC PBKDF2 of another digest", strings.Replace(phc256, "sha256", "sha1", 1), errUnknownHash},
		{"PHC PBKDF2 with a field too few", "$pbkdf2-sha512$i=1000,l=64$MDEyMzQ1Njc4OWFiY2RlZg", errBadHash},
		{"PHC PBKDF2 with padding", phc256 + "==", errBadHash},
		{"PHC PBKDF2 of another length", phc("i=1000,l=32"), errBadHash},
		{"PHC PBKDF2 with parameters in another order", phc("l=40,i=1000"), errBadHash},
		{"PHC PBKDF2 with a sign", phc("i=+1000,l=40"), errBadHash},
		{"PHC PBKDF2 with one more parameter", phc("i=1000,l=40,x=1"), errBadHash},
		{"PHC PBKDF2 with no iteration", phc("i=0,l=40"), errCost},
		{"PHC PBKDF2 with twice the work", phc("i=1000001,l=40"), errCost},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := parseHash(tt.hash); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}

func TestParseHashTruncated(t *testing.T) {
	for _, whole := range []string{sha512Test, pbkdf2Word, bcryptA, phc512} {
		for n := range len(whole) {
			if _, err := parseHash(whole[:n]); err == nil {
				t.Errorf("%q is accepted", whole[:n])
			}
		}
	}
}

func TestHash(t *testing.T) {
	password := []byte("correct horse")
	tests := []struct {
		scheme Scheme
		cost   string
	}{
		{Argon2id, "$argon2id$v=19$m=47104,t=1,p=1"},
		{PBKDF2, "$7$210000"},
		{Bcrypt, "$2$12"},
		{SCRAM256, "SCRAM-SHA-256$10000"},
		{SCRAM512, "SCRAM-SHA-512$10000"},
	}
	for _, tt := range tests {
		t.Run(string(tt.scheme), func(t *testing.T) {
			encoded, err := Hash(tt.scheme, password)
			if err != nil {
				t.Fatal(err)
			}
			h, err := parseHash(encoded)
			if err != nil {
				t.Fatal(err)
			}
			if h.cost != tt.cost {
				t.Errorf("cost %q, want %q", h.cost, tt.cost)
			}
			if !h.match(password) {
				t.Error("the password does not match its own hash")
			}
		})
	}
}

func TestSaltsDiffer(t *testing.T) {
	if a, b := newSalt(), newSalt(); bytes.Equal(a, b) {
		t.Errorf("two hashes have the salt %x", a)
	}
}

func TestHashErrors(t *testing.T) {
	tests := []struct {
		name     string
		scheme   Scheme
		password string
		want     string
	}{
		{"empty", Argon2id, "", "is empty"},
		{"NUL", PBKDF2, "a\x00b", "holds a NUL"},
		{"more than a CONNECT carries", Argon2id, strings.Repeat("x", 65536), "65535"},
		{"more than bcrypt reads", Bcrypt, longPassword + "x", "72 bytes"},
		{"unknown scheme", "md5", "x", `unknown hash "md5"; known are argon2id, pbkdf2, bcrypt, scram-sha-256 and scram-sha-512`},
		{"what SCRAM does not allow", SCRAM256, "a\u200eb", "(RFC 4013)"},
		{"nothing but what SCRAM leaves out", SCRAM512, "\u00ad", "(RFC 4013)"},
		{"ill-formed UTF-8 for SCRAM", SCRAM512, "a\xff", "(RFC 4013)"},
		{"no scheme", "", "x", "unknown hash"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			encoded, err := Hash(tt.scheme, []byte(tt.password))
			if encoded != "" || err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %q, %v; want an error with %q", encoded, err, tt.want)
			}
		})
	}
}

func FuzzParseHash(f *testing.F) {
	for _, s := range []string{sha512Test, pbkdf2Word, pbkdf2Short, argon2Word, argon2Threads, bcryptA, bcryptY, scramRFC, scramPython, goAuthFoo, goAuth256, phc512, phc256, "PBKDF2$$1$$", "$pbkdf2-sha256$i=1,l=0$$", "$7$1$$", "$2b$"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h, err := parseHash(s)
		if err != nil {
			if h.match != nil {
				t.Error("a hash along with an error")
			}
			return
		}
		// One spelling per hash: no blank, nothing that ends a line.
		if strings.ContainsAny(s, blanks+"\x00") || strings.Contains(s, ":") != (h.scram != nil) {
			t.Errorf("%q is accepted", s)
		}
		// What is cheap is run too.
		if h.cost == "$6$" || strings.HasPrefix(h.cost, "$7$") && len(h.cost) < 6 ||
			strings.HasPrefix(h.cost, phcPrefix) && len(h.cost) < len("$pbkdf2-sha512$i=100,l=64") {
			h.match([]byte("x"))
		}
	})
}
