"""Words of headers for special categories of personal data, in ten languages, and for all kinds in Chinese, Japanese
and Korean.

Belongs here: phrases, folded: without accents, in lower case. Does not belong here: the phrases of identifiers and
contacts in Latin script, and how a header is read (both in `headers.py`).
"""

SENSITIVE = {
    "HEALTH": "diagnosis;diagnoses;diagnosis code;dx;dx code;primary diagnosis;icd;icd code;icd9;icd10;"
    "icd cm;snomed;disability;disabilities;disabled;impairment;blood group;blood type;bloodgroup;"
    "bloodtype;rhesus;allergy;allergies;hiv;hiv status;medical condition;medical conditions;"
    "medical history;health condition;health status;chronic condition;comorbidity;comorbidities;"
    "pregnant;pregnancy;mental health;symptoms;vaccination status;vaccinated;bmi;body mass index;"
    "sick leave;sick days;illness;therapy;diagnose;diagnosen;diagnoseschlussel;behinderung;"
    "grad der behinderung;gdb;schwerbehinderung;schwerbehindert;blutgruppe;allergien;krankheit;"
    "krankheiten;vorerkrankung;vorerkrankungen;krankheitstage;schwangerschaft;schwanger;impfstatus;"
    "befund;diagnostic;diagnostics;handicap;handicape;groupe sanguin;maladie;maladies;"
    "antecedents medicaux;grossesse;arret maladie;diagnostico;diagnosticos;discapacidad;"
    "grupo sanguineo;tipo de sangre;tipo sangre;alergias;alergia;enfermedad;enfermedades;embarazo;"
    "historia clinica;baja medica;diagnosi;disabilita;invalidita;gruppo sanguigno;allergie;"
    "malattia;malattie;patologia;patologie;gravidanza;deficiencia;tipo sanguineo;doenca;doencas;"
    "gravidez;historico medico;arbeidsongeschiktheid;beperking;handicap type;bloedgroep;ziekte;"
    "ziekten;zwangerschap;ziekteverzuim;rozpoznanie;diagnoza;niepelnosprawnosc;"
    "stopien niepelnosprawnosci;grupa krwi;alergie;choroba;choroby;ciaza",
    "SEX_LIFE": "sexual orientation;sexuality;sex life;sexual preference;orientation sexuelle;"
    "sexuelle orientierung;sexuelle ausrichtung;orientacion sexual;orientamento sessuale;"
    "orientacao sexual;seksuele geaardheid;seksuele orientatie;orientacja seksualna;sexual history;"
    "gender identity;lgbt;lgbtq",
    "UNION_MEMBERSHIP": "union membership;union member;trade union;labor union;labour union;union name;union status;"
    "union affiliation;union dues;gewerkschaft;gewerkschaftszugehorigkeit;gewerkschaftsmitglied;"
    "gewerkschaftsmitgliedschaft;syndicat;appartenance syndicale;affiliation syndicale;sindicato;"
    "afiliacion sindical;afiliado sindical;sindacato;iscrizione sindacale;filiacao sindical;"
    "vakbond;vakbondslidmaatschap;lid vakbond;zwiazek zawodowy;zwiazki zawodowe;"
    "czlonkostwo w zwiazku",
    "BIOMETRIC": "fingerprint template;fingerprints;fingerabdruck;fingerabdrucke;empreinte digitale;"
    "empreintes digitales;huella dactilar;huellas dactilares;huella digital;impronta digitale;"
    "impronte digitali;impressao digital;vingerafdruk;odcisk palca;biometric;biometrics;"
    "biometric data;biometric template;biometric hash;biometrie;biometria;datos biometricos;"
    "donnees biometriques;dati biometrici;dados biometricos;biometrische daten;"
    "biometrische gegevens;dane biometryczne;face embedding;face encoding;face template;face id;"
    "face vector;facial recognition;iris scan;iris template;iris code;retina scan;voiceprint;"
    "voice print;palm print;dna profile;dna sequence;genotype;gesichtsscan;reconnaissance faciale;"
    "reconocimiento facial",
    "CRIMINAL_RECORD": "criminal record;criminal history;criminal conviction;convictions;conviction;offence;offense;"
    "felony;felonies;arrest record;arrests;prior arrests;background check result;dbs check;"
    "vorstrafe;vorstrafen;fuhrungszeugnis;strafregister;casier judiciaire;condamnation;"
    "condamnations;antecedentes penales;antecedentes criminales;condenas;casellario giudiziale;"
    "precedenti penali;fedina penale;antecedentes criminais;registo criminal;condenacoes;strafblad;"
    "veroordeling;veroordelingen;karalnosc;rejestr karny;wyroki",
}
"""What nearly always is about a person; by kind, separated by semicolons."""
MONEY_AND_TRAILS = {
    "HEALTH": "medication;medications;drug prescribed;prescription;prescriptions;medikament;medikamente;"
    "medikation;medicament;medicaments;ordonnance;medicamento;medicamentos;medicacion;receta;"
    "farmaco;farmaci;medicinali;terapia;medicacao;prescricao;medicatie;medicijn;medicijnen;leki;"
    "lek;recepta;treatment;procedure code;cpt code",
    "INCOME": "salary;salaries;wage;wages;pay;payroll;gross pay;net pay;base pay;base salary;annual salary;"
    "monthly salary;hourly rate;income;annual income;household income;compensation;bonus;earnings;"
    "remuneration;stipend;net worth;account balance;current balance;bank balance;balance;"
    "credit score;fico;fico score;credit limit;debt;gehalt;bruttogehalt;nettogehalt;jahresgehalt;"
    "monatsgehalt;lohn;bruttolohn;nettolohn;stundenlohn;einkommen;verdienst;vergutung;kontostand;"
    "guthaben;schulden;bonitat;schufa;salaire;salaire brut;salaire net;revenu;revenus;"
    "remuneration annuelle;solde;solde du compte;solde compte;salario;sueldo;sueldo bruto;nomina;"
    "ingresos;renta;saldo;saldo de cuenta;saldo cuenta;stipendio;retribuzione;reddito;saldo conto;"
    "ordenado;vencimento;renda;rendimento;saldo da conta;salaris;brutoloon;nettoloon;loon;inkomen;"
    "banksaldo;wynagrodzenie;pensja;placa;dochod;zarobki;stan konta",
    "ACTIVITY": "last login;last login at;last login time;login time;login at;login date;login timestamp;"
    "last logged in;last sign in;last sign in at;sign in at;logged in at;last seen;last seen at;"
    "last active;last active at;last activity;last visit;last visited;login location;login city;"
    "login country;login history;last location;location history;location trail;gps track;gps trace;"
    "gps trail;track points;trajectory;movement;movements;checkin location;check in location;"
    "whereabouts;browsing history;search history;call history;page history;visited urls;"
    "letzter login;letzte anmeldung;anmeldezeit;zuletzt gesehen;zuletzt aktiv;aufenthaltsort;"
    "standortverlauf;bewegungsprofil;derniere connexion;date de connexion;derniere activite;"
    "derniere visite;historique de localisation;ultimo acceso;ultimo inicio de sesion;"
    "ultima conexion;ultima actividad;historial de ubicaciones;ultimo accesso;ultimo login;"
    "ultima attivita;cronologia posizioni;ultimo acesso;ultima atividade;historico de localizacao;"
    "laatste login;laatst ingelogd;laatste aanmelding;laatst gezien;locatiegeschiedenis;"
    "ostatnie logowanie;ostatnia aktywnosc;ostatnio widziany;historia lokalizacji",
}
"""What is about a person in a table that holds persons, and else about drugs, jobs, ledgers and servers."""

EAST_ASIAN = {
    "PERSON": "姓名;氏名;お名前;名字;姓;成約者名;顧客名;客户名;患者名;患者姓名;联系人;聯絡人;担当者;フリガナ;"
    "氏名カナ;성명;이름;고객명;환자명;성함;회원명",
    "EMAIL_ADDRESS": "电子邮箱;电子邮件;邮箱;電子郵件;信箱;メールアドレス;メアド;メール;이메일;전자우편;메일주소",
    "PHONE_NUMBER": "电话号码;电话;手机号码;手机号;手机;联系电话;電話號碼;手機;電話番号;電話;携帯番号;携帯電話;"
    "携帯;連絡先;전화번호;연락처;휴대폰;휴대전화;핸드폰",
    "STREET_ADDRESS": "地址;住址;家庭住址;通讯地址;街道;住所;番地;現住所;주소;거주지;도로명주소",
    "ZIPCODE": "邮政编码;邮编;郵遞區號;郵便番号;〒;우편번호",
    "CITY": "城市;市町村;市区町村;出生地;出身地;도시;출생지;본적",
    "DATE_OF_BIRTH": "出生日期;出生年月;生日;出生;生年月日;誕生日;생년월일;생일;출생일",
    "AGE": "年龄;年齡;年齢;나이;연령",
    "GENDER": "性别;性別;성별",
    "NRP": "民族;宗教;国籍;國籍;政治面貌;信仰;국적;종교;민족;인종",
    "MARITAL_STATUS": "婚姻状况;婚姻;婚姻狀況;婚姻区分;配偶者;결혼여부;혼인상태;혼인",
    "NATIONAL_ID": "身份证号码;身份证号;身份证;身分證字號;身分證;公民身份号码;マイナンバー;個人番号;"
    "在留カード番号;주민등록번호;주민번호;외국인등록번호",
    "TAX_ID": "税号;纳税人识别号;納税者番号;납세자번호",
    "PASSPORT": "护照号码;护照号;护照;護照;パスポート番号;パスポート;旅券番号;旅券;여권번호;여권",
    "DRIVER_LICENSE": "驾驶证号;驾驶证;驾照;駕照;運転免許証番号;運転免許;免許証番号;운전면허번호;운전면허",
    "VEHICLE_ID": "车牌号;车牌;車牌;車架号;ナンバープレート;차량번호;번호판",
    "CREDIT_CARD": "信用卡号;信用卡;银行卡号;银行卡;卡号;クレジットカード番号;クレジットカード;カード番号;"
    "신용카드번호;신용카드;카드번호",
    "ACCOUNT_NUMBER": "银行账号;银行账户;账号;銀行帳號;口座番号;계좌번호;통장번호",
    "HEALTH_ID": "医保卡号;医保号;社保卡号;病历号;健康保険証番号;保険証番号;被保険者番号;カルテ番号;"
    "건강보험번호;의료보험번호;환자번호",
    "IP_ADDRESS": "IP地址;IPアドレス;IP주소",
    "SECRET": "密码;密碼;パスワード;暗証番号;비밀번호;암호",
    "USERNAME": "用户名;使用者名稱;登录名;ユーザー名;ユーザ名;ログインID;사용자명;아이디",
    "GEO_COORDINATES": "经度;纬度;经纬度;緯度;経度;緯度経度;위도;경도;좌표",
    "ORGANIZATION": "公司名称;公司;单位名称;会社名;勤務先;회사명;직장",
    "HEALTH": "诊断;診斷;疾病;病史;病名;血型;过敏;過敏;残疾;殘疾;用药;药物;診断;傷病名;既往歴;障害;障がい;"
    "血液型;アレルギー;服薬;処方;妊娠;진단;진단명;질병;병명;병력;장애;장애등급;혈액형;알레르기;"
    "복용약;처방;임신",
    "SEX_LIFE": "性取向;性傾向;性的指向;性自認;성적지향;성적취향",
    "UNION_MEMBERSHIP": "工会;工會;労働組合;組合員;노동조합;노조",
    "BIOMETRIC": "指纹;指紋;人脸;人臉;虹膜;声纹;生体認証;顔認証;지문;홍채;얼굴인식;생체정보",
    "CRIMINAL_RECORD": "犯罪记录;犯罪紀錄;前科;犯罪歴;전과;범죄경력;범죄이력",
    "INCOME": "工资;薪资;薪水;月薪;年薪;收入;账户余额;余额;薪資;給与;給料;月給;年収;所得;口座残高;残高;급여;"
    "연봉;월급;소득;수입;계좌잔액;잔액;잔고",
    "ACTIVITY": "最后登录;登录时间;登录地点;最近登录;行踪;轨迹;最終ログイン;ログイン日時;位置履歴;행적;"
    "마지막로그인;최근로그인;로그인시간;위치기록",
}
"""Terms without blanks: the longest that a header contains decides."""
EAST_ASIAN_THINGS = (
    "产品;商品;文件;公司;企业;店铺;品牌;項目;项目;製品;店舗;会社;部署;ファイル;상품;제품;회사;파일;매장;부서;브랜드"
)
"""What has a name, an address or an account, and is nobody."""
