export const en = {
  close: "Close",
  retry: "Try again",
  loading: "Loading",
  cover: "Cover of {title}",
  more: "Show more",
  cancel: "Cancel",
  comeBack: "Try again in {seconds} s.",
};

export const ko: typeof en = {
  close: "닫기",
  retry: "다시 시도",
  loading: "불러오는 중",
  cover: "{title} 표지",
  more: "더 보기",
  cancel: "취소",
  comeBack: "{seconds}초 뒤에 다시 시도하세요.",
};
